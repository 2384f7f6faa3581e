package zone

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// Zones whose Spec is the same are the same; others are made again; what leads from the one into the other is checked again.
func TestRecompile(t *testing.T) {
	specs := func(bTarget string) []Spec {
		return []Spec{
			{Name: "a.test", NS: []string{"ns.elsewhere.test."}, Records: []RecordSpec{{Owner: "x", Static: []StaticSpec{{Type: "CNAME", Values: []string{"x.b.test."}}}}}},
			{Name: "b.test", NS: []string{"ns.elsewhere.test."}, Records: []RecordSpec{{Owner: "x", Static: []StaticSpec{{Type: "CNAME", Values: []string{bTarget}}}}}},
			{Name: "c.test", NS: []string{"ns.elsewhere.test."}},
		}
	}
	was, problems := Compile(specs("y.c.test."), nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	now, problems := Recompile(was, specs("z.c.test."), []bool{true, false, true}, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for i, same := range []bool{true, false, true} {
		if (was.Zones()[i] == now.Zones()[i]) != same {
			t.Errorf("zone %d: kept %v, want %v", i, !same, same)
		}
	}
	name, _ := wire.ParseName("x.b.test")
	if m := now.Lookup(name, wire.TypeA); m.Kind != Alias || wire.Name(m.Set.RData[0]).String() != "z.c.test." {
		t.Errorf("%+v", m)
	}
	if _, problems = Recompile(was, specs("x.a.test."), []bool{true, false, true}, nil); !strings.Contains(fmt.Sprint(problems), "circle") {
		t.Errorf("a circle through a zone that is kept: %v", problems)
	}
	more := append(specs("y.c.test."), Spec{Name: "d.test", NS: []string{"ns.elsewhere.test."}}, Spec{Name: "c.test", NS: []string{"ns.elsewhere.test."}})
	if _, problems = Recompile(was, more, []bool{true, true, true, true, true}, nil); !strings.Contains(fmt.Sprint(problems), "is the same zone") {
		t.Errorf("a zone twice: %v", problems)
	}
	if now, problems = Recompile(was, more[:4], []bool{true, true, true, true}, nil); len(problems) > 0 || len(now.Zones()) != 4 {
		t.Errorf("a zone that was not there: %v", problems)
	}
}
