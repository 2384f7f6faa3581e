package configs

import "testing"

// Two zones that read the same bad file, side by side with others: the problems come in one order, however often they are read.
func TestProblemsOfDataFilesAreInOrder(t *testing.T) {
	d := newDesk(t)
	d.put("zones/a", "$INCLUDE parts/more\nz A 1\n")
	d.put("zones/b", "$INCLUDE parts/more\ny A 1\nx A 2\n")
	d.put("zones/parts/more", "more A x\nmore AAAA y\n")
	d.put("nets", "nonsense\n")
	d.put("meridian.yaml", "dns:\nsites: {eu: , us: }\ngeo: {networks_file: nets}\nzones:\n  b.example: {file: zones/b}\n  a.example: {file: zones/a}\n")
	var first string
	for range 20 {
		_, err := ReadFile(d.dir + "/meridian.yaml")
		if err == nil {
			t.Fatal("no error")
		}
		if first == "" {
			first = err.Error()
		}
		if err.Error() != first {
			t.Fatalf("once\n%s\nthen\n%s", first, err)
		}
	}
	all := new(problemList)
	all.main = "m"
	for _, p := range []Problem{{File: "f", Line: 1, Path: "b"}, {File: "m", Line: 9}, {File: "f", Line: 1, Path: "a"}, {File: "e", Line: 2}, {File: "f", Line: 1, Path: "a", Message: "!"}} {
		all.add(p)
	}
	got := ""
	for _, p := range all.sorted() {
		got += p.File + p.Path + p.Message + " "
	}
	if got != "m e fa fa! fb " {
		t.Errorf("got %s", got)
	}
}
