package zone

import (
	"strings"
	"testing"
)

// A name server has static addresses: neither of its families may be dynamic, nor what the CNAMEs of a zone file make it stand for.
func TestDynamicServers(t *testing.T) {
	for _, test := range []struct {
		name string
		spec Spec
	}{
		{"AAAA of a name server in the Spec", zoneOf("example", "lame NS ns2", "ns2 A 192.0.2.1", "ns2 STEER web")},
		{"AAAA in a file", fileZone(t, "example", "lame NS ns2", "ns2 A 192.0.2.1", "--", "ns2 STEER web")},
		{"through a CNAME in a file", fileZone(t, "example", "lame NS ns2", "ns2 CNAME www", "--", "www STEER web")},
		{"through a CNAME in a file to an alias", fileZone(t, "example", "lame NS ns2", "ns2 CNAME x", "x CNAME www", "--", "www TXT alias")},
		{"through a DNAME in a file", fileZone(t, "example", "lame NS ns2.d", "d DNAME e", "--", "ns2.e STEER web")},
	} {
		for i := range test.spec.Records {
			r := &test.spec.Records[i]
			if r.Owner == "ns2" && r.Steer != nil {
				r.Steer.Types = []string{"AAAA"}
			}
			if r.Owner == "www" && r.Steer == nil {
				r.Static, r.Alias = nil, "elsewhere.test."
			}
		}
		_, problems := Compile([]Spec{test.spec}, testPlan(t))
		found := false
		for _, p := range problems {
			found = found || strings.Contains(p.Msg, "must be static")
		}
		if !found {
			t.Errorf("%s: not refused: %v", test.name, problems)
		}
	}
}
