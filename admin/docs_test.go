package admin

import (
	"os"
	"strings"
	"testing"
)

// TestEveryPathIsDocumented: docs/API.md has a row for every route, and no row for what is not there.
func TestEveryPathIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/API.md")
	if err != nil {
		t.Fatal(err)
	}
	routes := map[string]bool{"GET /healthz": true, "GET /readyz": true, "GET /metrics": true}
	for pattern := range newBench(t).routes() {
		routes[pattern] = true
	}
	for pattern := range routes {
		if !strings.Contains(string(text), "\n| `"+pattern+"` |") {
			t.Errorf("docs/API.md has no row for %s", pattern)
		}
	}
	for line := range strings.Lines(string(text)) {
		row, ok := strings.CutPrefix(line, "| `")
		if pattern, _, _ := strings.Cut(row, "`"); ok && !routes[pattern] {
			t.Errorf("docs/API.md describes %s, which is not there", pattern)
		}
	}
}
