package dnsserver

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestRFCTable: every row of docs/RFC.md has three cells, the last of which names tests that exist.
func TestRFCTable(t *testing.T) {
	page, err := os.ReadFile("../docs/RFC.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9_]+)`")
	rows := 0
	for i, line := range strings.Split(string(page), "\n") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| Rule ") {
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if len(cells) != 3 {
			t.Errorf("docs/RFC.md:%d: %d cells", i+1, len(cells))
			continue
		}
		tests := named.FindAllStringSubmatch(cells[2], -1)
		if len(tests) == 0 || len(tests) != strings.Count(cells[2], "`")/2 {
			t.Errorf("docs/RFC.md:%d: want tests as `room.TestName`, not %s", i+1, cells[2])
		}
		for _, test := range tests {
			if room, name := test[1], test[2]; !hasTest(t, room, name) {
				t.Errorf("docs/RFC.md:%d: %s has no %s", i+1, room, name)
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d rows: is the page still read right?", rows)
	}
}

// hasTest reports whether a test function is in the source of a room.
func hasTest(t *testing.T, room, name string) bool {
	files, err := filepath.Glob(filepath.Join("..", filepath.FromSlash(room), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
