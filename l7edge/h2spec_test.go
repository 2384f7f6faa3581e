package l7edge

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestH2Spec runs all cases of h2spec, strict ones too, against both ways of a request: to endpoints over HTTP/2 and over HTTP/1.1.
func TestH2Spec(t *testing.T) {
	tool, err := exec.LookPath("../bin/h2spec")
	if errors.Is(err, fs.ErrNotExist) {
		if os.Getenv("CI") != "" {
			t.Fatal("no bin/h2spec: make deps builds it")
		}
		t.Skip("no bin/h2spec: make deps builds it")
	}
	body := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil { // an answer before the end would be all that h2spec sees
			io.WriteString(w, "longer than five bytes")
		}
	}
	for name, e := range map[string]*edge{
		"h2c":   start(t, newWorld(t, service(newH2C(t, 100, body).at), overH2C()), nil),
		"http1": start(t, newWorld(t, service(backend(t, body)), all()), nil),
	} {
		t.Run(name, func(t *testing.T) {
			report := filepath.Join(t.TempDir(), "report.xml")
			host, port, err := net.SplitHostPort(e.https)
			if err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(tool, "-h", host, "-p", port, "-t", "-k", "-S", "-o", "5", "-j", report).CombinedOutput()
			text, readErr := os.ReadFile(report)
			if readErr != nil {
				t.Fatalf("%v: %v\n%s", err, readErr, out)
			}
			check(t, text, out)
		})
	}
}

// check finds in the report of h2spec that all cases have passed. There are no exceptions.
func check(t *testing.T, report, out []byte) {
	t.Helper()
	var suites struct {
		Suites []struct {
			Cases []struct {
				Package string    `xml:"package,attr"`
				Name    string    `xml:"classname,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.NewDecoder(bytes.NewReader(report)).Decode(&suites); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range suites.Suites {
		for _, c := range s.Cases {
			n++
			if c.Failure != nil || c.Error != nil {
				t.Errorf("%s: %s", c.Package, c.Name)
			}
		}
	}
	if n != 146 || t.Failed() {
		t.Errorf("%d cases, want 146 that pass\n%s", n, out)
	}
}
