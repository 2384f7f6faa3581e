package dnsserver

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
)

func explain(t testing.TB, name string, qtype uint16, client string, verdicts map[string]policy.Verdict) Explanation {
	t.Helper()
	n, err := wire.ParseName(name)
	if err != nil {
		t.Fatal(err)
	}
	var p netip.Prefix
	if client != "" {
		p = netip.MustParsePrefix(client)
	}
	return Explain(testSnapshot(t, verdicts), Question{Name: n, Type: qtype, Client: p})
}

func TestExplain(t *testing.T) {
	down := map[string]policy.Verdict{"web/us-1": {State: policy.Down}}
	tests := []struct {
		name, qname, client string
		qtype               uint16
		verdicts            map[string]policy.Verdict
		want                string // fields that are not empty, in order
		notes               string
	}{
		{"steered", "www.gslb.example", "198.51.100.0/24", dns.TypeA, nil,
			"A 198.51.100.0/24 zone=gslb.example record=www.gslb.example. steered NOERROR web/near [www.gslb.example. 30 IN A 198.51.100.10] ttl=30 scope=24", ""},
		{"aliases", "alias2.gslb.example", "198.51.100.7/32", dns.TypeAAAA, nil,
			"AAAA 198.51.100.7/32 zone=gslb.example record=www.gslb.example. chain=[alias2.gslb.example. alias.gslb.example. www.gslb.example.] steered NOERROR web/near " +
				"[alias2.gslb.example. 300 IN CNAME alias.gslb.example. alias.gslb.example. 300 IN CNAME www.gslb.example. www.gslb.example. 30 IN AAAA 2001:db8:2::10] ttl=30 scope=24", ""},
		{"failover", "www.gslb.example", "198.51.100.0/24", dns.TypeA, down,
			"A 198.51.100.0/24 zone=gslb.example record=www.gslb.example. steered NOERROR web/near [www.gslb.example. 30 IN A 192.0.2.10] ttl=30 scope=24", ""},
		{"wildcard", "x.app.gslb.example", "2001:db8:2::/48", dns.TypeA, nil,
			"A 2001:db8:2::/48 zone=gslb.example record=*.app.gslb.example. steered NOERROR web/near [x.app.gslb.example. 30 IN A 198.51.100.10] ttl=30 scope=48",
			"the wildcard *.app.gslb.example. answers"},
		{"private client", "www.gslb.example", "10.1.2.3/32", dns.TypeA, nil,
			"A 10.1.2.3/32 zone=gslb.example record=www.gslb.example. steered NOERROR web/near [www.gslb.example. 30 IN A 198.51.100.10] ttl=30 scope=0",
			"taken for the resolver's address"},
		{"mapped client", "www.gslb.example", "::ffff:198.51.100.7/128", dns.TypeA, nil,
			"A ::ffff:198.51.100.7/128 zone=gslb.example record=www.gslb.example. steered NOERROR web/near [www.gslb.example. 30 IN A 198.51.100.10] ttl=30 scope=120", ""},
		{"mapped subnet, IPv6 has other outcomes", "six.gslb.example", "::ffff:198.51.100.0/120", dns.TypeA, nil,
			"A ::ffff:198.51.100.0/120 zone=gslb.example record=six.gslb.example. steered NOERROR web/six [six.gslb.example. 30 IN A 192.0.2.10] ttl=30 scope=96", ""},
		{"mapped private client", "www.gslb.example", "::ffff:10.1.2.3/128", dns.TypeA, nil,
			"A ::ffff:10.1.2.3/128 zone=gslb.example record=www.gslb.example. steered NOERROR web/near [www.gslb.example. 30 IN A 198.51.100.10] ttl=30 scope=0",
			"taken for the resolver's address"},
		{"no client", "www.gslb.example", "", dns.TypeA, nil,
			"A zone=gslb.example record=www.gslb.example. steered NOERROR web/near [www.gslb.example. 30 IN A 192.0.2.10] ttl=30 scope=0", "its place is unknown"},
		{"TTL by health", "www.gslb.example", "192.0.2.1/32", dns.TypeA, map[string]policy.Verdict{"web/eu-1": {State: policy.Up, TTL: 4}},
			"A 192.0.2.1/32 zone=gslb.example record=www.gslb.example. steered NOERROR web/near [www.gslb.example. 4 IN A 192.0.2.10] ttl=4 scope=6", "4 s instead of 30 s"},
		{"fail open", "www.gslb.example", "192.0.2.1/32", dns.TypeA, map[string]policy.Verdict{"web/us-1": {State: policy.Down}, "web/eu-1": {State: policy.Down}},
			"A 192.0.2.1/32 zone=gslb.example record=www.gslb.example. steered NOERROR web/near [www.gslb.example. 30 IN A 192.0.2.10] ttl=30 scope=6", "counts as up"},
		{"no address of the family", "v4.gslb.example", "192.0.2.1/32", dns.TypeAAAA, nil,
			"AAAA 192.0.2.1/32 zone=gslb.example record=v4.gslb.example. steered NOERROR v4only/default [] ttl=10 scope=0", "no endpoint that answers type AAAA"},
		{"static", "mail.gslb.example", "192.0.2.1/32", dns.TypeA, nil,
			"A 192.0.2.1/32 zone=gslb.example record=mail.gslb.example. answer NOERROR [mail.gslb.example. 300 IN A 192.0.2.25] ttl=300 scope=0", ""},
		{"no such name", "nx.ent.gslb.example", "", dns.TypeA, nil,
			"A zone=gslb.example no such name NXDOMAIN [] ttl=10 scope=0", "the closest name that exists is ent.gslb.example."},
		{"delegation", "www.sub.gslb.example", "", dns.TypeA, nil,
			"A zone=gslb.example record=sub.gslb.example. referral NOERROR [] ttl=300 scope=0", "delegated to other servers"},
		{"not ours", "www.elsewhere.test", "", dns.TypeA, nil, "A not authoritative REFUSED [] ttl=0 scope=0", "in none of our zones"},
		{"alias out of ours", "outside.gslb.example", "", dns.TypeA, nil,
			"A chain=[outside.gslb.example. www.elsewhere.test.] not authoritative NOERROR [outside.gslb.example. 300 IN CNAME www.elsewhere.test.] ttl=300 scope=0",
			"resolvers go on there"},
		{"refused type", "www.gslb.example", "", dns.TypeAXFR, nil, "AXFR not authoritative REFUSED [] ttl=0 scope=0", "zone transfers are not served"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := explain(t, tt.qname, tt.qtype, tt.client, tt.verdicts)
			var parts []string
			add := func(prefix, s string) {
				if s != "" {
					parts = append(parts, prefix+s)
				}
			}
			add("", x.Type)
			add("", x.Client)
			add("zone=", x.Zone)
			add("record=", x.Record)
			if x.Chain != nil {
				add("chain=", fmt.Sprint(x.Chain))
			}
			add("", x.Kind)
			add("", x.RCode)
			if x.Service != "" {
				add("", x.Service+"/"+x.Policy)
			}
			add("", fmt.Sprintf("%v ttl=%d scope=%d", x.Answers, x.TTL, x.Scope))
			if got := strings.Join(parts, " "); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if notes := strings.Join(x.Notes, "\n"); !strings.Contains(notes, tt.notes) || tt.notes == "" && notes != "" {
				t.Errorf("notes %q, want %q", notes, tt.notes)
			}
			if x.Trace != nil && x.Trace.Scope != x.Scope && x.Scope != 0 {
				t.Errorf("scope %d, in the trace %d", x.Scope, x.Trace.Scope)
			}
			if (x.Trace != nil) != (x.Service != "" && len(x.Answers) > 0) {
				t.Errorf("trace %v", x.Trace)
			}
		})
	}
}

// TestExplainIsAnswer: for every client, the explanation says what an Answerer with the same dice says.
func TestExplainIsAnswer(t *testing.T) {
	s := testSnapshot(t, map[string]policy.Verdict{"web/eu-1": {State: policy.Down}})
	a := testAnswerer(s, TCP)
	a.Dice = func() uint64 { return 0 }
	for _, name := range []string{"www", "all", "six", "many", "alias2", "v6", "x.wild", "nx", "big"} {
		for _, client := range []string{"192.0.2.0/24", "198.51.100.0/24", "2001:db8:2::/48", "::ffff:198.51.100.0/120", "8.8.8.8/32"} {
			full := name + ".gslb.example"
			x := explain(t, full, dns.TypeA, client, map[string]policy.Verdict{"web/eu-1": {State: policy.Down}})
			r := answer(t, a, query(full, dns.TypeA, subnet(client)))
			var want []string
			for _, rr := range r.Answer {
				want = append(want, strings.ReplaceAll(rr.String(), "\t", " "))
			}
			if fmt.Sprint(x.Answers) != fmt.Sprint(want) || x.Scope != subnetOf(r).SourceScope || x.RCode != dns.RcodeToString[r.Rcode] {
				t.Errorf("%s for %s: explained %v, answered %v", name, client, x, r)
			}
			if x.Trace != nil && len(x.Trace.Endpoints) == 0 {
				t.Errorf("%s: trace %v", name, x.Trace)
			}
		}
	}
}

func TestExplainJSON(t *testing.T) {
	text, err := json.Marshal(explain(t, "nx.gslb.example", dns.TypeA, "", nil))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"name":"nx.gslb.example.","type":"A","zone":"gslb.example","kind":"no such name","rcode":"NXDOMAIN","answers":[],"ttl":10,"scope":0,` +
		`"notes":["the closest name that exists is gslb.example."]}`
	if string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
	text, err = json.Marshal(explain(t, "www.gslb.example", dns.TypeA, "192.0.2.0/24", nil))
	if err != nil || !strings.Contains(string(text), `"trace":{"service":"web"`) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestParseType(t *testing.T) {
	for in, want := range map[string]uint16{"A": 1, "aaaa": 28, "Https": 65, "TYPE65280": 65280, "type1": 1, "ANY": 255} {
		if got, err := ParseType(in); err != nil || got != want {
			t.Errorf("ParseType(%q) = %d, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "B", "TYPE", "TYPE65536", "TYPE1x", "TYPE-1", "TYPE01", "None"} {
		if got, err := ParseType(in); err == nil {
			t.Errorf("ParseType(%q) = %d", in, got)
		}
	}
}

// A subnet that nobody routes, as a resolver sends it: the resolver's address decides, and the scope is that of the network set aside.
func TestExplainUnroutedSubnet(t *testing.T) {
	name, _ := wire.ParseName("www.gslb.example")
	for resolver, want := range map[string]string{"": "taken for the resolver's address, and the scope is 0", "192.0.2.1": "the resolver's address counts"} {
		q := Question{Name: name, Type: dns.TypeA, Client: netip.MustParsePrefix("10.1.0.0/16")}
		scope := uint8(0)
		if resolver != "" {
			q.Resolver, scope = netip.MustParseAddr(resolver), 8
		}
		if x := Explain(testSnapshot(t, nil), q); x.Scope != scope || !strings.HasSuffix(strings.Join(x.Notes, "\n"), want) {
			t.Errorf("from %q: scope %d, %q", resolver, x.Scope, x.Notes)
		}
	}
}
