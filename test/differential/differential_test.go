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

// seeds make the zones and questions: one of chance, and two with DNAMEs that lead below themselves. MERIDIAN_SEED chooses others, by
// commas.
func seeds(t *testing.T) []uint64 {
	t.Helper()
	text := os.Getenv("MERIDIAN_SEED")
	if text == "" {
		return []uint64{20261124, 28, 407}
	}
	var out []uint64
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

const (
	numZones   = 200
	perZone    = 40
	maxReports = 20
)

// TestAgainstReferences: where Knot, NSD and BIND agree, we agree with them; where they do not, we agree with one of them.
func TestAgainstReferences(t *testing.T) {
	for _, seed := range seeds(t) {
		t.Run(fmt.Sprintf("MERIDIAN_SEED=%d", seed), func(t *testing.T) { againstReferences(t, rand.New(rand.NewPCG(seed, 0))) })
	}
}

// againstReferences compares what zones of these dice are answered.
func againstReferences(t *testing.T, r *rand.Rand) {
	zones := randomZones(t, r)
	us := serve(t, zones)
	refs := []*reference{startKnot(t, zones), startNSD(t, zones), startBIND(t, zones)}

	verdicts, kinds := map[string]int{}, map[string]int{}
	reported := 0
	j := judge{apexes: map[string]bool{}}
	for _, z := range zones {
		j.apexes[z.apex] = true
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
			var theirs []opinion
			for _, ref := range refs {
				if ref.lacks[z.apex] {
					continue
				}
				said, err := ref.ask(msg, q.tcp)
				if err == nil && said.Rcode == dns.RcodeServerFailure && said.Truncated { // it gave up, and says over TCP where
					said, err = ref.ask(msg, true)
				}
				if err != nil {
					t.Fatalf("%s: %v", q, err)
				}
				theirs = append(theirs, opinion{ref.name, said})
			}
			verdict := j.of(got, theirs)
			verdicts[verdict]++
			kinds[kindOf(got)]++
			if strings.HasSuffix(verdict, "only") && testing.Verbose() && verdicts[verdict] <= 5 {
				t.Logf("%s: %s\nours:\n%s\n%s", q, verdict, indent(normal(got)), show(said(theirs)))
			}
			if strings.HasPrefix(verdict, "wrong") {
				if reported++; reported <= maxReports {
					t.Errorf("%s: %s\nours:\n%s\n%s", q, verdict, indent(normal(got)), show(said(theirs)))
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
