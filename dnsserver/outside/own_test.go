package outside

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// ours are zones with aliases that lead outside, through our own names and not at all.
func ours(t *testing.T) *zone.Set {
	c, problems := registry.Compile(registry.Definition{Policy: policy.Spec{}, Zones: []zone.Spec{{
		Name: "ours.example", NS: []string{"ns.elsewhere.example."},
		Records: []zone.RecordSpec{
			{Owner: "out", Alias: "cdn.example."},
			{Owner: "in", Alias: "www.ours.example."},
			{Owner: "twice", Alias: "out.ours.example."},
			{Owner: "www", Static: []zone.StaticSpec{{Type: "A", Values: []string{"192.0.2.80"}}}},
			{Owner: "link", Static: []zone.StaticSpec{{Type: "CNAME", Values: []string{"out.ours.example."}}}},
			{Owner: "moved", Static: []zone.StaticSpec{{Type: "DNAME", Values: []string{"ours.example."}}}},
			{Owner: "away", Static: []zone.StaticSpec{{Type: "CNAME", Values: []string{"b.example."}}}},
			{Owner: "some", Variants: []zone.RecordSpec{
				{When: &zone.ConditionSpec{Types: []string{"TXT"}}, Static: []zone.StaticSpec{{Type: "A", Values: []string{"192.0.2.81"}}}},
				{Alias: "cdn.example."},
			}},
		},
	}, {
		Name: "view.example", View: "inner", NS: []string{"ns.elsewhere.example."}, Records: []zone.RecordSpec{{Owner: "out", Alias: "cdn.example."}},
	}}, Views: []zone.ViewSpec{{Name: "inner", Networks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}})
	for _, p := range problems {
		t.Error(p)
	}
	if c == nil {
		t.FailNow()
	}
	r := registry.New(registry.Options{})
	return r.Apply(c).Zones
}

// TestOwnNames: a target may lead to a name of ours, but not to what we would answer from what is found here.
func TestOwnNames(t *testing.T) {
	zones := ours(t)
	for _, c := range []struct {
		name    string
		records []string
		want    string
	}{
		{"our steered or static name", []string{"cdn.example. 60 CNAME www.ours.example.", "www.ours.example. 5 A 192.0.2.80"}, "5: 5 192.0.2.80"},
		{"our alias of our name", []string{"cdn.example. 60 CNAME in.ours.example.", "in.ours.example. 5 A 192.0.2.80"}, "5: 5 192.0.2.80"},
		{"our CNAME that leads away", []string{"cdn.example. 60 CNAME away.ours.example.", "away.ours.example. 60 CNAME b.example.", "b.example. 60 A 192.0.2.1"}, "60: 60 192.0.2.1"},
		{"our alias that leads outside", []string{"cdn.example. 60 CNAME out.ours.example.", "out.ours.example. 5 A 192.0.2.80"}, "back to an alias of ours"},
		{"our variant that leads outside", []string{"cdn.example. 60 CNAME some.ours.example.", "some.ours.example. 5 A 192.0.2.80"}, "back to an alias of ours"},
		{"our alias in a view", []string{"cdn.example. 60 CNAME out.view.example.", "out.view.example. 5 A 192.0.2.80"}, "back to an alias of ours"},
		{"our alias of it", []string{"cdn.example. 60 CNAME twice.ours.example.", "twice.ours.example. 5 A 192.0.2.80"}, "back to an alias of ours"},
		{"our DNAME to it", []string{"cdn.example. 60 CNAME out.moved.ours.example."}, "back to an alias of ours"},
		{"our DNAME to another", []string{"cdn.example. 60 CNAME www.moved.ours.example."}, "30: none"},
		{"our CNAME to it", []string{"cdn.example. 60 CNAME link.ours.example.", "link.ours.example. 60 CNAME out.ours.example."}, "back to an alias of ours"},
	} {
		m := response(t, new(dns.Msg).SetQuestion("cdn.example.", dns.TypeA), c.records...)
		if got := describe(read(m, name(t, "cdn.example."), wire.TypeA, zones)); !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}
