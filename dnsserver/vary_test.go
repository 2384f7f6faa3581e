package dnsserver

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// when makes a condition of words: "client P…", "resolver P…", "type T…", "ecs" and "none".
func when(t testing.TB, text string) *zone.ConditionSpec {
	t.Helper()
	w := &zone.ConditionSpec{}
	for _, part := range strings.Split(text, "; ") {
		f := strings.Fields(part)
		switch yes, no := true, false; f[0] {
		case "client":
			for _, p := range f[1:] {
				w.Client = append(w.Client, netip.MustParsePrefix(p))
			}
		case "resolver":
			for _, p := range f[1:] {
				w.Resolver = append(w.Resolver, netip.MustParsePrefix(p))
			}
		case "type":
			w.Types = f[1:]
		case "ecs":
			w.Subnet = &yes
		case "none":
			w.Subnet = &no
		default:
			t.Fatalf("condition %q", part)
		}
	}
	return w
}

// variedRecord makes a name of variants, each a condition, a bar, and an address or a policy of the service web.
func variedRecord(t testing.TB, owner string, lines ...string) zone.RecordSpec {
	r := zone.RecordSpec{Owner: owner}
	for _, line := range lines {
		cond, what, _ := strings.Cut(line, "|")
		v := zone.RecordSpec{TTL: 30}
		if cond != "" {
			v.When = when(t, cond)
		}
		if strings.Contains(what, ".") {
			v.Static = []zone.StaticSpec{{Type: "A", Values: []string{what}}}
		} else {
			v.Steer = &zone.SteerSpec{Service: "web", Policy: what, Types: allTypes}
		}
		r.Variants = append(r.Variants, v)
	}
	return r
}

// TestVary: whom the variants of a name are for, and for whom else an answer holds.
func TestVary(t *testing.T) {
	s := mannerSnapshot(t, "",
		variedRecord(t, "net", "client 10.0.0.0/8 198.51.100.0/24 2001:db8::/32|192.0.2.91", "client 203.0.113.0/24|near", "|192.0.2.93"),
		variedRecord(t, "from", "resolver 203.0.113.0/24|192.0.2.91", "|near"),
		variedRecord(t, "ecs", "ecs|192.0.2.91", "none|192.0.2.92"),
		variedRecord(t, "type", "type TXT AAAA|all", "client 198.51.100.0/24|192.0.2.92"),
		zone.RecordSpec{Owner: "cname", Static: []zone.StaticSpec{{Type: "CNAME", Values: []string{"net"}}}},
		zone.RecordSpec{Owner: "flat", Alias: "net"},
		zone.RecordSpec{Owner: "*.wild", When: when(t, "client 198.51.100.0/24"), Alias: "net"},
	)
	for _, c := range []struct {
		name   string
		qtype  uint16
		subnet string // "" = none
		from   string
		want   string
		scope  int
	}{
		{"net", dns.TypeA, "198.51.100.0/24", "8.8.8.8", "192.0.2.91", 24},
		{"net", dns.TypeA, "198.51.100.7/32", "8.8.8.8", "192.0.2.91", 24},
		{"net", dns.TypeA, "198.51.0.0/16", "8.8.8.8", "192.0.2.93", 18},
		{"net", dns.TypeA, "198.51.101.0/24", "8.8.8.8", "192.0.2.93", 24},
		{"net", dns.TypeA, "2001:db8::/48", "8.8.8.8", "192.0.2.91", 32},
		{"net", dns.TypeA, "::ffff:198.51.100.0/120", "8.8.8.8", "192.0.2.91", 120},
		{"net", dns.TypeA, "64:ff9b::c633:6400/120", "8.8.8.8", "192.0.2.91", 120},
		{"net", dns.TypeA, "2002:c633:6400::/40", "8.8.8.8", "192.0.2.91", 40},
		{"net", dns.TypeA, "203.0.113.0/24", "8.8.8.8", "192.0.2.1", 24},
		{"net", dns.TypeA, "10.1.2.0/24", "8.8.8.8", "192.0.2.93", 8}, // nobody routes that: the resolver counts
		{"net", dns.TypeA, "10.1.2.0/24", "10.9.9.9", "192.0.2.91", 8},
		{"net", dns.TypeA, "0.0.0.0/0", "10.9.9.9", "192.0.2.91", 0},
		{"net", dns.TypeA, "", "10.9.9.9", "192.0.2.91", 0},
		{"net", dns.TypeA, "", "::ffff:10.9.9.9", "192.0.2.91", 0},
		{"net", dns.TypeTXT, "198.51.100.0/24", "8.8.8.8", "SOA 60", 24},
		{"net", dns.TypeTXT, "203.0.113.0/24", "8.8.8.8", `"w1"`, 24},
		{"from", dns.TypeA, "198.51.100.0/24", "203.0.113.5", "192.0.2.91", 0},
		{"from", dns.TypeA, "198.51.100.0/24", "8.8.8.8", "192.0.2.2", 24},
		{"ecs", dns.TypeA, "198.51.100.0/24", "8.8.8.8", "192.0.2.91", 1},
		{"ecs", dns.TypeA, "2001:db8::/48", "8.8.8.8", "192.0.2.91", int(apart(netip.MustParseAddr("2001:db8::")))},
		{"ecs", dns.TypeA, "10.0.0.0/24", "8.8.8.8", "192.0.2.92", 8},
		{"ecs", dns.TypeA, "0.0.0.0/0", "8.8.8.8", "192.0.2.92", 0},
		{"ecs", dns.TypeA, "", "8.8.8.8", "192.0.2.92", 0},
		{"type", dns.TypeTXT, "198.51.100.0/24", "8.8.8.8", `"w1", "w2"`, 0},
		{"type", dns.TypeAAAA, "198.51.100.0/24", "8.8.8.8", "2001:db8::1, 2001:db8::2", 0},
		{"type", dns.TypeA, "198.51.100.0/24", "8.8.8.8", "192.0.2.92", 24},
		{"type", dns.TypeA, "198.51.101.0/24", "8.8.8.8", "SOA 60", 24},
		{"type", dns.TypeANY, "198.51.100.0/24", "8.8.8.8", "192.0.2.92", 24},
		{"cname", dns.TypeA, "198.51.100.0/24", "8.8.8.8", "net.m.example., 192.0.2.91", 24},
		{"flat", dns.TypeA, "198.51.101.0/24", "8.8.8.8", "192.0.2.93", 24},
		{"x.wild", dns.TypeA, "198.51.100.0/24", "8.8.8.8", "192.0.2.91", 24},
		{"x.wild", dns.TypeA, "198.51.101.0/24", "8.8.8.8", "SOA 60", 24},
	} {
		q := query(c.name+".m.example", c.qtype)
		if c.subnet != "" {
			subnet(c.subnet)(q)
		}
		r := answerFrom(t, testAnswerer(s, TCP), q, netip.AddrPortFrom(netip.MustParseAddr(c.from), 53))
		scope := 0
		if o := subnetOf(r); o != nil {
			scope = int(o.SourceScope)
		}
		if got := brief(r); got != c.want || scope != c.scope || r.Rcode != dns.RcodeSuccess || !r.Authoritative {
			t.Errorf("%s %s for %s from %s: %s, scope %d; want %s, %d", c.name, dns.TypeToString[c.qtype], c.subnet, c.from, got, scope, c.want, c.scope)
		}
	}
}

// TestVaryScopeHolds: in the scope of an answer everybody gets that answer, whatever form the client has and however its subnet is cut;
// and what one resolver hears of one name and type has scopes of 0 for all clients that have a subnet, or for none.
func TestVaryScopeHolds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(21, 22))
	prefix := func() string {
		if rnd.IntN(3) == 0 {
			return netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, byte(1 + rnd.IntN(3)), byte(rnd.IntN(4)), byte(rnd.IntN(4))}), 10+rnd.IntN(23)).Masked().String()
		}
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(192 + rnd.IntN(8)), byte(rnd.IntN(4)), byte(rnd.IntN(4)), 0}), 3+rnd.IntN(22)).Masked().String()
	}
	for range 60 {
		var lines []string
		for i := range 1 + rnd.IntN(4) {
			cond := "client " + prefix() + " " + prefix()
			switch rnd.IntN(6) {
			case 0:
				cond = "resolver 203.0.113.0/24; " + cond
			case 1:
				cond = "ecs; " + cond
			case 2:
				cond = "none"
			}
			what := fmt.Sprintf("192.0.2.%d", 91+i)
			if rnd.IntN(3) == 0 {
				what = "near"
			}
			lines = append(lines, fmt.Sprintf("%s; type A %d|%s", cond, 100+i, what))
		}
		for i, line := range lines {
			lines[i] = strings.Replace(line, fmt.Sprint(" ", 100+i), fmt.Sprint(" TYPE", 100+i), 1) // all conditions differ
		}
		lines = append(lines, "|192.0.2.99")
		s := mannerSnapshot(t, "", variedRecord(t, "x", lines...))
		a := testAnswerer(s, UDP)
		ask := func(p netip.Prefix) (string, uint8) {
			r := answer(t, a, query("x.m.example", dns.TypeA, subnet(p.String())))
			return brief(r), subnetOf(r).SourceScope
		}
		zero, longer := 0, 0
		for range 40 {
			p := netip.MustParsePrefix(prefix())
			if rnd.IntN(3) == 0 && p.Addr().Is4() { // in a form of IPv6
				form := embedded[rnd.IntN(len(embedded))]
				p = netip.PrefixFrom(netip.AddrFrom16(form.make(p.Addr().As4())), form.before+p.Bits()).Masked()
			}
			if seen, _ := unembed(p); unrouted(seen) > 0 {
				continue
			}
			want, scope := ask(p)
			if scope == 0 {
				zero++
			} else {
				longer++
			}
			if int(scope) > p.Bits() && netip.MustParsePrefix("2001::/32").Contains(p.Addr()) { // the first IPv4 address of a Teredo prefix is its last one
				continue
			}
			in := netip.PrefixFrom(p.Addr(), int(scope)).Masked()
			for range 10 { // an address in the scope
				b := p.Addr().AsSlice()
				for bit := int(scope); bit < len(b)*8; bit++ {
					if rnd.IntN(2) == 0 {
						b[bit/8] ^= 0x80 >> (bit % 8)
					}
				}
				other, _ := netip.AddrFromSlice(b)
				if !in.Contains(other) {
					t.Fatalf("%s is not in %s", other, in)
				}
				q := netip.PrefixFrom(other, max(int(scope), other.BitLen()-rnd.IntN(9)))
				if seen, _ := unembed(q); q.Bits() == 0 || unrouted(seen) > 0 {
					continue
				}
				if got, otherScope := ask(q.Masked()); got != want || otherScope != scope {
					t.Fatalf("%v: %s gets %s, scope %d; %s, which is in it, gets %s, scope %d", lines, p, want, scope, q, got, otherScope)
				}
			}
		}
		if zero > 0 && longer > 0 {
			t.Fatalf("%v: %d scopes of 0 and %d longer ones", lines, zero, longer)
		}
	}
}

// The explanation says which variant answers, and why those before it do not.
func TestExplainVariants(t *testing.T) {
	s := mannerSnapshot(t, "",
		variedRecord(t, "net", "client 198.51.100.0/24; type A|192.0.2.91", "resolver 203.0.113.0/24|192.0.2.92", "ecs|192.0.2.93", "|near"),
		variedRecord(t, "some", "client 10.0.0.0/8|192.0.2.91"),
		zone.RecordSpec{Owner: "cname", Static: []zone.StaticSpec{{Type: "CNAME", Values: []string{"net"}}}})
	for _, c := range []struct {
		name, client, resolver, want, note string
		qtype                              uint16
	}{
		{"net", "198.51.100.0/24", "", "net client in 198.51.100.0/24; type A: answers", "", dns.TypeA},
		{"net", "198.51.101.0/24", "203.0.113.1", "net client in 198.51.100.0/24; type A: the client is 198.51.101.0, net resolver in 203.0.113.0/24: answers", "", dns.TypeA},
		{"cname", "198.51.100.0/24", "8.8.8.8", "net client in 198.51.100.0/24; type A: the type is another, net resolver in 203.0.113.0/24: the query comes from 8.8.8.8, net with a client subnet: answers", "", dns.TypeAAAA},
		{"net", "", "8.8.8.8", "net client in 198.51.100.0/24; type A: the client is 8.8.8.8, net resolver in 203.0.113.0/24: the query comes from 8.8.8.8, net with a client subnet: no client subnet decides, net : answers", "", dns.TypeA},
		{"some", "198.51.101.0/24", "", "some client in 10.0.0.0/8: the client is 198.51.101.0", "no condition of a variant of some.m.example. holds: no data", dns.TypeA},
	} {
		name, err := wire.ParseName(c.name + ".m.example")
		if err != nil {
			t.Fatal(err)
		}
		q := Question{Name: name, Type: c.qtype}
		if c.client != "" {
			q.Client = netip.MustParsePrefix(c.client)
		}
		if c.resolver != "" {
			q.Resolver = netip.MustParseAddr(c.resolver)
		}
		x := Explain(s, q)
		var got []string
		for _, v := range x.Variants {
			why := v.Why
			if why == "" {
				why = "answers"
			}
			got = append(got, strings.TrimSuffix(v.Name, ".m.example.")+" "+v.When+": "+why)
		}
		if strings.Join(got, ", ") != c.want || !strings.Contains(strings.Join(x.Notes, "\n"), c.note) {
			t.Errorf("%s for %s from %s: %q, %q", c.name, c.client, c.resolver, got, x.Notes)
		}
	}
}

// What hangs on conditions allocates nothing.
func TestVaryAllocatesNothing(t *testing.T) {
	s := mannerSnapshot(t, "", variedRecord(t, "x", "client 10.0.0.0/8 198.51.0.0/24; resolver 203.0.113.0/24; type A|192.0.2.91", "none|192.0.2.92", "|near"))
	a := testAnswerer(s, UDP)
	msg, buf := pack(t, query("x.m.example", dns.TypeA, subnet("198.51.100.0/24"))), make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() { a.Answer(buf, msg, resolver, 1232) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
