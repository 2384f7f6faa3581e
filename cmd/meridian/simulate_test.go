package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/simulate"
)

// TestSimulateDocs: what docs/simulate.md shows of the output is in it, in that order.
func TestSimulateDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/simulate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(doc), "```console\n$ meridian simulate configs/")
	block, _, ok := strings.Cut(block, "```")
	lines := strings.Split(strings.TrimSpace(block), "\n")
	if !ok || len(lines) < 10 {
		t.Fatalf("the example is gone: %q", block)
	}
	var out, errOut bytes.Buffer
	if code := execute([]string{"simulate", filepath.Join("../../configs", lines[0])}, &out, &errOut); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	rest := out.String()
	for _, line := range lines[1:] {
		if strings.TrimSpace(line) == "…" {
			continue
		}
		_, after, ok := strings.Cut("\n"+rest, "\n"+line+"\n")
		if !ok {
			t.Fatalf("the output does not go on with %q:\n%s", line, out.String())
		}
		rest = after
	}
}

// TestPrintSeries: columns for what there is, and none for what there is not.
func TestPrintSeries(t *testing.T) {
	s := &simulate.Series{
		Title: "t\x1b[31m", Service: "web", Policy: "p", Clients: 1, Queries: 2.5, Duration: 2, Step: 1,
		Sites: []string{"eu", ""}, Targets: []string{"a", "b"},
		Steps: []simulate.Step{
			{Sites: []float64{1, 0}, Endpoints: []float64{1, 0}},
			{At: 1, Sites: []float64{0.25, 0.5}, Endpoints: []float64{0.25, 0.5}, Unanswered: 0.25, Moved: 7, MovedSite: 3, Events: []string{"x", "y"}},
		},
		Peaks: []simulate.Peak{{Site: "eu", Queries: 2.5, Capacity: 2, Over: 1}, {Queries: 1.25, At: 1}},
	}
	for by, want := range map[simulate.By]string{
		simulate.BySite: `t�[31m
  service web, policy p, 1 client, 2.5 queries/s, 2 steps of 1s

  TIME  EU       NO SITE  NO ANSWER  MOVED  EVENTS
  0     100.0 %    0.0 %    0.0 %    -
  1s     25.0 %   50.0 %   25.0 %    3      x, y
`,
		simulate.ByEndpoint: `t�[31m
  service web, policy p, 1 client, 2.5 queries/s, 2 steps of 1s

  TIME  A        B        NO ANSWER  MOVED  EVENTS
  0     100.0 %    0.0 %    0.0 %    -
  1s     25.0 %   50.0 %   25.0 %    7      x, y
`,
	} {
		want += `
  SITE     PEAK QUERIES/S  AT  CAPACITY  USED     ABOVE IT
  eu       2.5             0   2         125.0 %  for 1s
  no site  1.25            1s  -         -        -
`
		var b strings.Builder
		printSeries(&printer{w: &b}, s, by)
		if got := b.String(); got != strings.ReplaceAll(want, `\ufffd`, "\ufffd") {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}
