package l7edge

import (
	"bytes"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What is wrong with a pair is said of the file that is at fault, with what would be right.
func TestCertificateErrors(t *testing.T) {
	dir := t.TempDir()
	good, other := issue(t, dir, "good", false, "good.test"), issue(t, dir, "other", true, "other.test")
	cert, key := content(t, good.Cert), content(t, good.Key)
	block, _ := pem.Decode(cert)
	file := func(name string, parts ...[]byte) string {
		path := filepath.Join(dir, name)
		write(t, path, bytes.Join(parts, nil))
		return path
	}
	broken := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	legacy := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: []byte("x")})
	noKey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("x")})
	none, both := filepath.Join(dir, "none"), file("both", key, cert)

	for name, c := range map[string]struct {
		files CertificateFiles
		want  []string // "cert: " or "key: " and part of what is said of it
	}{
		"good":                {good, nil},
		"one file for both":   {CertificateFiles{both, both}, nil},
		"with a chain":        {CertificateFiles{file("chain", cert, content(t, other.Cert)), good.Key}, nil},
		"swapped":             {CertificateFiles{good.Key, good.Cert}, []string{"cert: exchange cert and key"}},
		"another's key":       {CertificateFiles{good.Cert, other.Key}, []string{"key: is not the key of the certificate " + good.Cert}},
		"leaf behind":         {CertificateFiles{file("behind", content(t, other.Cert), cert), good.Key}, []string{"cert: has to come first"}},
		"no files":            {CertificateFiles{none, none}, []string{"cert: no such file", "key: no such file"}},
		"no key file":         {CertificateFiles{good.Cert, none}, []string{"key: no such file"}},
		"key for certificate": {CertificateFiles{good.Key, good.Key}, []string{"cert: holds a private key, not a certificate"}},
		"certificate for key": {CertificateFiles{good.Cert, good.Cert}, []string{"key: holds a certificate, not a private key"}},
		"DER":                 {CertificateFiles{file("der", block.Bytes), good.Key}, []string{"cert: openssl x509 -inform der"}},
		"no PEM":              {CertificateFiles{file("text", []byte("hello")), good.Key}, []string{"cert: holds no certificate in PEM form"}},
		"empty key":           {CertificateFiles{good.Cert, file("empty")}, []string{"key: holds no private key in PEM form"}},
		"encrypted":           {CertificateFiles{good.Cert, file("encrypted", encrypted)}, []string{"key: decrypt it"}},
		"encrypted, old form": {CertificateFiles{good.Cert, file("legacy", legacy)}, []string{"key: decrypt it"}},
		"broken certificate":  {CertificateFiles{file("broken", broken), good.Key}, []string{"cert: holds a certificate that cannot be read"}},
		"broken key":          {CertificateFiles{good.Cert, file("brokenkey", noKey)}, []string{"key: holds a private key that cannot be used"}},
		"a directory":         {CertificateFiles{dir, good.Key}, []string{"cert: is a directory"}},
		"a device":            {CertificateFiles{os.DevNull, good.Key}, []string{"cert: is not a regular file"}},
		"large":               {CertificateFiles{good.Cert, file("large", bytes.Repeat([]byte("x"), maxCertFile+1))}, []string{"key: is larger than"}},
	} {
		got, err := c.files.Load()
		if (got != nil) != (c.want == nil) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, %v", name, got, err)
			continue
		}
		errs := certificateErrors(err)
		if len(errs) != len(c.want) {
			t.Errorf("%s: %d errors, want %d: %v", name, len(errs), len(c.want), err)
			continue
		}
		for i, want := range c.want {
			which, text, _ := strings.Cut(want, ": ")
			file := map[string]string{"cert": c.files.Cert, "key": c.files.Key}[which]
			if e := errs[i]; e.Key != (which == "key") || e.File != file || !strings.Contains(e.Error(), text) || !strings.Contains(e.Error(), e.File) {
				t.Errorf("%s: got %+v, want %s", name, e, want)
			}
		}
	}
	if _, err := (CertificateFiles{none, good.Key}).Load(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
}

// certificateErrors returns the parts of an error of Load.
func certificateErrors(err error) []*CertificateError {
	var list []*CertificateError
	if e := (*CertificateError)(nil); errors.As(err, &e) {
		list = append(list, e)
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = nil
		for _, err := range joined.Unwrap() {
			list = slices.Concat(list, certificateErrors(err))
		}
	}
	return list
}

func content(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
