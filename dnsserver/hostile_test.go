package dnsserver

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// everything is a snapshot with every kind of name, and the queries that lead to each.
func everything(t testing.TB) (*registry.Snapshot, []*dns.Msg) {
	spec := testPolicySpec()
	full := policy.ServiceSpec{Name: "cdn"}
	for i, site := range []string{"eu", "us", "eu", "us", ""} {
		host := "us.b.example"
		if i == 0 {
			host = strings.Repeat("h", 63) + ".cdn.test"
		}
		full.Endpoints = append(full.Endpoints, policy.EndpointSpec{
			Name: string(rune('a' + i)), Site: site, Weight: uint32(1 + 100_000*i), Host: host, Text: strings.Repeat("text ", 20*i+1), ALPN: []string{"h2", "h3"}[:i%3],
			Port: uint16(443 + i/2), V4: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), V6: netip.MustParseAddr("2001:db8::1"),
		})
	}
	spec.Services = append(spec.Services, full)
	plan, problems := policy.Compile(spec)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	long := strings.Repeat("l", 63)
	all := func(owner, types string) zone.RecordSpec {
		r := steeredBy(owner, types)
		r.Steer.Policy = "all"
		return r
	}
	closed := zoneOf("closed.example", static("www", "A", "192.0.2.9"))
	closed.Allow = []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}
	zones, problems := zone.Compile([]zone.Spec{
		zoneOf("b.example",
			zone.RecordSpec{Owner: "@", Alias: "us"}, zone.RecordSpec{Owner: "app", Alias: "near"}, zone.RecordSpec{Owner: "unknown", Alias: "www.nowhere.test."},
			zone.RecordSpec{Owner: "me", Whoami: true}, zone.RecordSpec{Owner: "chosen", Whoami: true, Steer: &zone.SteerSpec{Service: "cdn", Policy: "near"}},
			static("us", "A", "192.0.2.1"), steeredBy("near", "CNAME"), all("all", "SRV HTTPS MX TXT SVCB A AAAA"), steeredBy("one", "SRV HTTPS MX TXT SVCB"),
			static("to", "DNAME", "x."+long+"."+long+".d.example."), static("closed", "CNAME", "www.closed.example."), static("*.wild", "CNAME", "deep.to")),
		zoneOf("d.example", zone.RecordSpec{Owner: "@", Static: []zone.StaticSpec{{Type: "DNAME", Values: []string{"b.example."}}, {Type: "TXT", Values: []string{"beside"}}}}),
		closed,
	}, plan)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s := &registry.Snapshot{World: registry.World{Plan: plan, Zones: zones}, Health: policy.NewHealth(plan.NumEndpoints())}
	var queries []*dns.Msg
	for _, name := range []string{"b.example", "app.b.example", "unknown.b.example", "me.b.example", "chosen.b.example", "near.b.example", "all.b.example", "one.b.example",
		"x.to.b.example", long + "." + long + ".to.b.example", "closed.b.example", "www.closed.example", "a.wild.b.example", "us.d.example", "near.d.example", "d.example"} {
		for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeANY, dns.TypeTXT, dns.TypeSRV, dns.TypeMX, dns.TypeHTTPS, dns.TypeSVCB, dns.TypeCNAME, dns.TypeDNAME, dns.TypeDS} {
			queries = append(queries, query(name, qtype), query(name, qtype, subnet("198.51.100.0/24"), cookie("2464c4abcf10c957"), func(m *dns.Msg) {
				m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID})
			}))
		}
	}
	return s, queries
}

// tellAll has an Answerer tell all it can.
func tellAll(a *Answerer) *Answerer {
	a.NSID, a.Identity, a.Version, a.Site = strings.Repeat("n", maxNSID), strings.Repeat("i", 300), "9", "eu"
	return a
}

// TestHostileMessages: what holds of every response holds whatever is asked of whatever name, and of messages that are almost right.
func TestHostileMessages(t *testing.T) {
	s, queries := everything(t)
	dice := rand.New(rand.NewPCG(1, 2))
	for _, q := range queries {
		good := pack(t, q)
		for i := range 12 {
			msg := append([]byte(nil), good...)
			switch {
			case i == 0:
			case i < 8: // a few bytes changed, those of the options more than others
				for range 1 + dice.IntN(3) {
					at := dice.IntN(len(msg))
					if dice.IntN(2) == 0 {
						at = len(msg) - 1 - dice.IntN(min(40, len(msg)))
					}
					msg[at] = byte(dice.Uint32())
				}
			case i < 10:
				msg = msg[:dice.IntN(len(msg)+1)]
			default:
				msg = append(msg, good[12:12+dice.IntN(len(good)-12)]...)
			}
			for _, transport := range []Transport{UDP, TCP} {
				checkResponse(t, tellAll(testAnswerer(s, transport)), msg, 4444)
			}
		}
	}
}

// TestNoKindAllocates: no kind of answer needs memory, once an Answerer has met the name.
func TestNoKindAllocates(t *testing.T) {
	s, queries := everything(t)
	s.Outside = zone.NewOutside([]zone.OutsideSet{{Name: wire.Name("\x3f" + strings.Repeat("h", 63) + "\x03cdn\x04test\x00"), Type: wire.TypeA,
		Set: &wire.RRset{Type: wire.TypeA, TTL: 20, RData: [][]byte{{198, 51, 100, 7}}}}})
	a := tellAll(testAnswerer(s, UDP))
	buf := make([]byte, 0, 2048)
	for _, q := range queries {
		msg := pack(t, q)
		if n := testing.AllocsPerRun(20, func() { a.Answer(buf, msg, resolver, DefaultUDPSize) }); n != 0 {
			t.Errorf("%v allocations for %s %s", n, q.Question[0].Name, dns.TypeToString[q.Question[0].Qtype])
		}
	}
}

// FuzzEveryKind is TestHostileMessages with messages that a fuzzer makes.
func FuzzEveryKind(f *testing.F) {
	s, queries := everything(f)
	for _, q := range queries {
		f.Add(pack(f, q))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		for _, transport := range []Transport{UDP, TCP} {
			checkResponse(t, tellAll(testAnswerer(s, transport)), msg, 4444)
		}
	})
}
