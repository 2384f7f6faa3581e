package configs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// issue returns a certificate for a time, and its key, as PEM.
func issue(t *testing.T, from, until time.Time) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "gslb.example"}, NotBefore: from, NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// A yard is a directory with certificates of all kinds.
func yard(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	now := time.Now()
	for name, valid := range map[string][2]time.Duration{"good": {-time.Hour, time.Hour}, "other": {-time.Hour, time.Hour},
		"old": {-48 * time.Hour, -24 * time.Hour}, "young": {24 * time.Hour, 48 * time.Hour}} {
		cert, key := issue(t, now.Add(valid[0]), now.Add(valid[1]))
		put(t, filepath.Join(dir, name+".pem"), cert)
		put(t, filepath.Join(dir, name+".key"), key)
	}
	put(t, filepath.Join(dir, "text"), []byte("hello\n"))
	if err := os.MkdirAll(filepath.Join(dir, "conf", "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func put(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// What check passes serve takes: the files that a configuration names are looked at, and each is blamed where it is named.
func TestFilesAreLookedAt(t *testing.T) {
	dir := yard(t)
	const edge, route = "edge:\n  https: \"127.0.0.1:0\"\n  certificates:\n", "routes: [{service: web}]\nservices: {web: {probe: off}}\n"
	for name, c := range map[string]struct {
		src  string
		want []string // "line:column path: part of the message"
		warn []string
	}{
		"good":             {src: edge + "    - {cert: ../good.pem, key: ../good.key}\n" + route},
		"absolute":         {src: edge + "    - {cert: " + dir + "/good.pem, key: " + dir + "/good.key}\n" + route},
		"self-signed":      {src: "edge: {https: \"127.0.0.1:0\", self_signed: localhost}\n" + route},
		"new state":        {src: "dns:\nstate: sub/new/state\n"},
		"state":            {src: "dns:\nstate: sub\n"},
		"no https":         {src: "edge: {http: \"127.0.0.1:0\", certificates: [{cert: none, key: none}]}\n" + route, warn: []string{"1:29 edge.certificates: there is no https address"}},
		"one of two wrong": {src: edge + "    - {cert: ../good.pem, key: ../good.key}\n    - cert: ../other.pem\n      key: ../good.key\n" + route, want: []string{"6:12 edge.certificates[1].key: \"../good.key\" is not the key of the certificate"}},
		"none": {src: edge + "    - {cert: none.pem, key: /none/none.key}\n" + route, want: []string{
			"4:14 edge.certificates[0].cert: there is no file \"none.pem\" (a relative path begins at the directory of this file)",
			"4:29 edge.certificates[0].key: there is no file \"/none/none.key\""}},
		"swapped":         {src: edge + "    - {cert: ../good.key, key: ../good.pem}\n" + route, want: []string{"4:14 edge.certificates[0].cert: \"../good.key\" holds the private key, and ../good.pem the certificate"}},
		"text":            {src: edge + "    - {cert: ../text, key: ../good.key}\n" + route, want: []string{"4:14 edge.certificates[0].cert: \"../text\" holds no certificate"}},
		"no key":          {src: edge + "    - {cert: ../good.pem, key: ../text}\n" + route, want: []string{"4:32 edge.certificates[0].key: \"../text\" holds no private key"}},
		"directory":       {src: edge + "    - {cert: sub, key: ../good.key}\n" + route, want: []string{"4:14 edge.certificates[0].cert: \"sub\" is a directory"}},
		"behind a file":   {src: edge + "    - {cert: ../text/x, key: ../good.key}\n" + route, want: []string{"4:14 edge.certificates[0].cert: \"../text/x\": not a directory"}},
		"expired":         {src: edge + "    - {cert: ../old.pem, key: ../old.key}\n" + route, warn: []string{"4:14 edge.certificates[0].cert: the certificate expired on 2"}},
		"not yet valid":   {src: edge + "    - {cert: ../young.pem, key: ../young.key}\n" + route, warn: []string{"4:14 edge.certificates[0].cert: the certificate is not valid before 2"}},
		"state is a file": {src: "dns:\nstate: ../text\n", want: []string{"2:8 state: \"../text\" is not a directory"}},
		"state in a file": {src: "dns:\nstate: ../text/state\n", want: []string{"2:8 state: \"../text/state\" leads through something that is not a directory"}},
		"beside others": {src: edge + "    - {cert: none, key: ../good.key, kee: x}\nroutes: [{service: web}]\n", want: []string{
			"4:14 edge.certificates[0].cert: there is no file", "4:38 edge.certificates[0].kee: unknown key", "5:20 routes[0].service: unknown service"}},
	} {
		file := put(t, filepath.Join(dir, "conf", "meridian.yaml"), []byte(c.src))
		config, err := ReadFile(file)
		var found, warned []Problem
		if all := (*Errors)(nil); errors.As(err, &all) {
			found = all.Problems
		} else if err != nil {
			t.Fatal(err)
		} else {
			warned = slices.DeleteFunc(config.Warnings, func(p Problem) bool { return !strings.HasPrefix(p.Path, "edge.certificates") })
		}
		for _, list := range []struct {
			got  []Problem
			want []string
		}{{found, c.want}, {warned, c.warn}} {
			if len(list.got) != len(list.want) {
				t.Errorf("%s: got %v, want %q", name, list.got, list.want)
				continue
			}
			for i, p := range list.got {
				want := strings.ReplaceAll(list.want[i], `"../`, `"`+dir+"/")
				want = strings.ReplaceAll(strings.ReplaceAll(want, " ../", " "+dir+"/"), `"none`, `"`+dir+"/conf/none")
				want = strings.ReplaceAll(want, `"sub`, `"`+dir+"/conf/sub")
				if got := fmt.Sprintf("%d:%d %s: %s", p.Line, p.Column, p.Path, p.Message); !strings.HasPrefix(got, want) {
					t.Errorf("%s: got  %s\nwant %s", name, got, want)
				}
			}
		}
	}
}

// Relative paths begin at the directory of the file, wherever the process runs; absolute ones and those of Parse stay.
func TestRelativePaths(t *testing.T) {
	dir := yard(t)
	src := []byte("state: var\nedge: {https: \"127.0.0.1:0\", certificates: [{cert: good.pem, key: " + dir + "/good.key}]}\n")
	file := put(t, filepath.Join(dir, "meridian.yaml"), src)
	t.Chdir(filepath.Join(dir, "conf"))
	for _, path := range []string{file, "../meridian.yaml", "./../conf/../meridian.yaml"} {
		c, err := ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		pair, from := c.Edge.Certificates[0], filepath.Dir(path)
		if c.State != filepath.Join(from, "var") || pair.Cert != filepath.Join(from, "good.pem") || pair.Key != dir+"/good.key" {
			t.Errorf("%s: state %s, certificate %+v", path, c.State, pair)
		}
	}
	c, err := Parse(file, bytes.ReplaceAll(src, []byte("good.pem"), []byte("none.pem")))
	if err != nil || c.State != "var" || c.Edge.Certificates[0].Cert != "none.pem" {
		t.Errorf("Parse: %+v, %v", c, err)
	}
}

// Who may not read a file learns as whom, what the file's or directory's mode is, and what would help.
func TestDenied(t *testing.T) {
	dir := yard(t)
	shut := filepath.Join(dir, "shut")
	if err := os.Mkdir(shut, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(shut, "key.pem"), []byte("x"))
	for link, to := range map[string]string{"link": "shut/key.pem", "far": filepath.Join(shut, "key.pem"), "circle": "circle", "dir": "shut"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	secret := put(t, filepath.Join(dir, "secret.key"), []byte("x"))
	for path, mode := range map[string]os.FileMode{secret: 0o200, shut: 0o600, dir: 0o711} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Chmod(shut, 0o700) // so that it can be removed
	for parent := filepath.Dir(dir); strings.HasPrefix(parent, os.TempDir()+"/"); parent = filepath.Dir(parent) {
		if err := os.Chmod(parent, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	unprivileged(t, func() {
		for path, want := range map[string]string{
			secret:                           "the file of user " + userOf(os.Getuid()) + " has mode --w-------; let the user's group read it",
			filepath.Join(shut, "key.pem"):   fmt.Sprintf("the directory %q of user %s has mode drw-------; let the user's group pass", shut, userOf(os.Getuid())),
			filepath.Join(dir, "link"):       fmt.Sprintf("the directory %q of user", shut),
			filepath.Join(dir, "far"):        fmt.Sprintf("the directory %q of user", shut),
			filepath.Join(dir, "dir/x/y"):    fmt.Sprintf("the directory %q of user", filepath.Join(dir, "dir")),
			filepath.Join(dir, "circle"):     "permission denied to read",
			filepath.Join(dir, "circle/dir"): "permission denied to read",
		} {
			got := denied(path, "meridian (997)")
			if want := fmt.Sprintf("permission denied to read %q as user meridian (997)", path); !strings.HasPrefix(got, want) {
				t.Errorf("got %s\nwant %s", got, want)
			}
			if !strings.Contains(got, want) {
				t.Errorf("got %s\nwant %s", got, want)
			}
		}
		where := below(dir)
		where.look = true
		_, _, err := parseFile("f", []byte("edge:\n  https: \"127.0.0.1:0\"\n  certificates: [{cert: good.pem, key: secret.key}]\n"), where)
		want := fmt.Sprintf("f:3:40: edge.certificates[0].key: permission denied to read %q as user %s: the file of", secret, processUser())
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	})
	if got := userOf(1 << 30); got != "1073741824" {
		t.Errorf("a user that is not there: %s", got)
	}
}
