// Package differential asks us and the servers that the internet trusts most the same questions about the same random zones, and
// compares the answers message for message.
package differential

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// seed makes the zones and questions; MERIDIAN_SEED chooses others.
func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(20261124)
	if text := os.Getenv("MERIDIAN_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("MERIDIAN_SEED=%d", n)
	return n
}

const (
	numZones   = 200
	perZone    = 40
	maxReports = 20
)

// TestAgainstReferences: where Knot, NSD and BIND agree, we agree with them; where they do not, we agree with one of them.
func TestAgainstReferences(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	zones := randomZones(t, r)
	us := serve(t, zones)
	refs := []*reference{startKnot(t, zones), startNSD(t, zones), startBIND(t, zones)}

	verdicts, kinds := map[string]int{}, map[string]int{}
	reported := 0
	apexes := map[string]bool{}
	for _, z := range zones {
		apexes[z.apex] = true
	}
	for _, z := range zones {
		for i, q := range questions(r, z, perZone) {
			m := q.message(uint16(i))
			msg, err := m.Pack()
			if err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			got, err := unpack(us.ask(msg, q.tcp))
			if err != nil {
				t.Fatalf("%s: %v", q, err)
			}
			theirs, within := map[string][]string{}, map[string][]string{} // what they say -> who; the same up to where it leaves the zone
			for _, ref := range refs {
				if ref.lacks[z.apex] {
					continue
				}
				said, err := ref.ask(msg, q.tcp)
				if err != nil {
					t.Fatalf("%s: %v", q, err)
				}
				n := normal(q, said)
				theirs[n] = append(theirs[n], ref.name)
				if leave(said, apexes) {
					n = normal(q, said)
					within[n] = append(within[n], ref.name)
				}
			}
			if twice := repeated(got.Answer); twice != "" {
				t.Errorf("%s: twice in the answer: %s", q, twice)
			}
			mine := normal(q, got)
			verdict := judge(mine, theirs)
			if strings.HasPrefix(verdict, "wrong") && leave(got, apexes) && len(within[normal(q, got)]) > 0 {
				verdict = "we agree with some up to where the chain leaves the zone"
			}
			verdicts[verdict]++
			kinds[kindOf(got)]++
			if strings.HasSuffix(verdict, "only") && testing.Verbose() && verdicts[verdict] <= 5 {
				t.Logf("%s: %s\nours:\n%s\n%s", q, verdict, indent(mine), show(theirs))
			}
			if strings.HasPrefix(verdict, "wrong") {
				if reported++; reported <= maxReports {
					t.Errorf("%s: %s\nours:\n%s\n%s", q, verdict, indent(mine), show(theirs))
					if os.Getenv("SHOWZONE") != "" {
						t.Logf("zone:\n%s", z.text())
					}
				}
			}
		}
	}
	for _, v := range slices.Sorted(maps.Keys(verdicts)) {
		t.Logf("%6d %s", verdicts[v], v)
	}
	for _, k := range []string{"answer", "alias", "referral", "no data", "NXDOMAIN", "REFUSED", "truncated"} {
		if t.Logf("%6d %s", kinds[k], k); kinds[k] < 20 {
			t.Errorf("only %d of kind %q: are the questions still good?", kinds[k], k)
		}
	}
}

// randomZones returns zones of several kinds of parentage: most alone, some delegated from others of them.
func randomZones(t *testing.T, r *rand.Rand) []*testZone {
	var zones []*testZone
	var others []string
	for i := range numZones {
		apex := fmt.Sprintf("z%d.invalid.", i)
		if i%5 == 4 {
			above := zones[i-1]
			apex = []string{"a.", "b.c.", "www.a."}[r.IntN(3)] + above.apex
			if r.IntN(4) > 0 {
				delegate(r, above, apex)
			}
		}
		zones = append(zones, generate(r, apex, others))
		others = append(others, apex)
	}
	reasons := accept(t, zones)
	n := 0
	for _, z := range zones {
		n += len(z.records)
	}
	t.Logf("%d zones with %d records; left out because we refuse them: %v", len(zones), n, reasons)
	return zones
}

// delegate makes a cut at the apex of another zone that is served too.
func delegate(r *rand.Rand, above *testZone, apex string) {
	above.records = slices.DeleteFunc(above.records, func(r record) bool {
		return key(r.owner) == apex || r.rrtype == "DNAME" && dns.IsSubDomain(r.owner, apex)
	})
	above.records = append(above.records, record{apex, 90, "NS", "ns." + apex}, record{"ns." + apex, 91, "A", "192.0.2.9"})
	if r.IntN(2) == 0 {
		above.records = append(above.records, record{apex, 90, "DS", "7 13 2 " + strings.Repeat("0b", 32)})
	}
}

// message returns the query.
func (q query) message(id uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(q.name, q.qt)
	m.Id, m.RecursionDesired = id, id%2 == 0
	if q.size > 0 {
		m.SetEdns0(q.size, q.do)
	}
	return m
}

// repeated returns a record that is there twice, or "": no RRset holds a record twice (RFC 2181 5).
func repeated(rrs []dns.RR) string {
	for i, a := range rrs {
		for _, b := range rrs[:i] {
			if dns.IsDuplicate(a, b) {
				return a.String()
			}
		}
	}
	return ""
}

// leave cuts a response where its chain of aliases leaves the zone of the question, if it does. Who follows chains from zone to zone
// owes the response code of their end (RFC 6604 3), who does not leaves it to the resolver. A DS at an apex is in the zone above.
func leave(m *dns.Msg, apexes map[string]bool) bool {
	at := zoneOf(m.Question[0].Name, apexes)
	for i, rr := range m.Answer {
		if c, ok := rr.(*dns.CNAME); ok && (zoneOf(c.Target, apexes) != at || m.Question[0].Qtype == dns.TypeDS && key(c.Target) == at) {
			m.Answer, m.Ns, m.Extra, m.Rcode, m.Truncated = m.Answer[:i+1], nil, slices.DeleteFunc(m.Extra, func(rr dns.RR) bool {
				return rr.Header().Rrtype != dns.TypeOPT
			}), dns.RcodeSuccess, false
			return true
		}
	}
	return false
}

// zoneOf returns the longest apex that holds a name.
func zoneOf(name string, apexes map[string]bool) string {
	for name = key(name); name != "." && !apexes[name]; {
		name = parent(name)
	}
	return name
}

// kindOf says what kind of answer a response is, to know that all kinds were compared.
func kindOf(m *dns.Msg) string {
	switch {
	case m.Truncated:
		return "truncated"
	case m.Rcode != dns.RcodeSuccess:
		return dns.RcodeToString[m.Rcode]
	case len(m.Answer) > 0 && m.Answer[0].Header().Rrtype == dns.TypeCNAME && m.Question[0].Qtype != dns.TypeCNAME:
		return "alias"
	case len(m.Answer) > 0:
		return "answer"
	case !m.Authoritative:
		return "referral"
	default:
		return "no data"
	}
}

// judge says who agrees with whom. theirs is who says what.
func judge(mine string, theirs map[string][]string) string {
	switch agree := theirs[mine]; {
	case len(agree) > 0 && len(theirs) == 1:
		return "all agree"
	case len(agree) > 0:
		return "we agree with " + strings.Join(agree, " and ") + " only"
	case len(theirs) == 1:
		return "wrong: the references agree and we do not"
	default:
		return "wrong: the references differ, and we agree with none"
	}
}

func show(theirs map[string][]string) string {
	var out []string
	for said, who := range theirs {
		out = append(out, strings.Join(who, " and ")+":\n"+indent(said))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }

// normal returns what must be alike in a response: header, EDNS, and the sections as sets. Free are: all of the additional section
// but the glue of servers inside the delegated zone, the authority section of positive answers, the sections of a truncated
// answer, and the case of names in RDATA.
func normal(q query, m *dns.Msg) string {
	var lines []string
	head := dns.RcodeToString[m.Rcode]
	for _, f := range []struct {
		on   bool
		name string
	}{{m.Response, "qr"}, {m.Authoritative, "aa"}, {m.Truncated, "tc"}, {m.RecursionDesired, "rd"}, {m.RecursionAvailable, "ra"}, {m.Zero, "z"},
		{m.AuthenticatedData, "ad"}, {m.CheckingDisabled, "cd"}} {
		if f.on {
			head += " " + f.name
		}
	}
	if opt := m.IsEdns0(); opt != nil {
		head += fmt.Sprintf(" edns%d do=%v size=%d", opt.Version(), opt.Do(), opt.UDPSize())
	}
	lines = append(lines, head)
	if len(m.Question) == 1 {
		lines = append(lines, fmt.Sprintf("? %s %s", m.Question[0].Name, dns.Type(m.Question[0].Qtype)))
	}
	if m.Truncated {
		return strings.Join(lines, "\n")
	}
	lines = append(lines, section("an", m.Answer)...)
	referral, negative := false, false
	for _, rr := range m.Ns {
		referral = referral || rr.Header().Rrtype == dns.TypeNS && !m.Authoritative
		negative = negative || rr.Header().Rrtype == dns.TypeSOA
	}
	if referral || negative {
		lines = append(lines, section("ns", m.Ns)...)
	}
	var glue []dns.RR
	for _, rr := range m.Extra {
		for _, ns := range m.Ns {
			if ns, ok := ns.(*dns.NS); ok && referral && strings.EqualFold(rr.Header().Name, ns.Ns) && dns.IsSubDomain(ns.Hdr.Name, ns.Ns) {
				glue = append(glue, rr)
				break
			}
		}
	}
	return strings.Join(append(lines, section("ar", glue)...), "\n")
}

// section returns records as sorted lines.
func section(name string, rrs []dns.RR) []string {
	var out []string
	for _, rr := range rrs {
		text := strings.ReplaceAll(rr.String(), "\t", " ")
		switch rr.(type) {
		case *dns.TXT, *dns.HINFO:
			at := strings.Index(text, " ")
			text = strings.ToLower(text[:at]) + text[at:]
		default:
			text = strings.ToLower(text)
		}
		out = append(out, name+" "+text)
	}
	slices.Sort(out)
	return slices.Compact(out) // those who follow a circle once round say some records twice
}
