package differential

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// chain returns the response to a question below a DNAME that leads below itself, from a server that gives n of the CNAMEs it means.
func chain(t *testing.T, n int, edits ...func(*dns.Msg)) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion("w.d.z.invalid.", dns.TypeA)
	m.Response, m.Authoritative, m.RecursionDesired = true, true, false
	if n > 0 {
		m.Answer = append(m.Answer, rr(t, "d.z.invalid. 60 IN DNAME b.d.z.invalid."))
	}
	for i := range n {
		b := strings.Repeat("b.", i)
		m.Answer = append(m.Answer, rr(t, fmt.Sprintf("w.%sd.z.invalid. 60 IN CNAME w.b.%sd.z.invalid.", b, b)))
	}
	for _, edit := range edits {
		edit(m)
	}
	return m
}

func rr(t *testing.T, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

func servfail(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }

// TestJudgeOfCuts: that chains are cut at different places is no disagreement, but whatever else differs is, in what we say or in what
// they say.
func TestJudgeOfCuts(t *testing.T) {
	j := judge{apexes: map[string]bool{"z.invalid.": true, "other.invalid.": true}}
	const ours = zone.MaxChain + 1
	refs := func(knot, nsd, bind *dns.Msg) []opinion {
		return []opinion{{"knot", knot}, {"nsd", nsd}, {"bind", bind}}
	}
	knot, nsd, bind := chain(t, 5), chain(t, 1), chain(t, 13, servfail)
	soa := rr(t, "z.invalid. 60 IN SOA ns.z.invalid. h.z.invalid. 1 2 3 4 5")
	replace := func(i int, text string) func(*dns.Msg) {
		return func(m *dns.Msg) { m.Answer[i] = rr(t, text) }
	}
	end := func(m *dns.Msg) { // the chain ends after all
		last := m.Answer[len(m.Answer)-1].(*dns.CNAME)
		m.Answer = append(m.Answer, rr(t, last.Target+" 60 IN A 192.0.2.1"))
	}
	swap := func(a, b int) func(*dns.Msg) {
		return func(m *dns.Msg) { m.Answer[a], m.Answer[b] = m.Answer[b], m.Answer[a] }
	}
	remove := func(i int) func(*dns.Msg) {
		return func(m *dns.Msg) { m.Answer = append(m.Answer[:i:i], m.Answer[i+1:]...) }
	}

	cname := func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeCNAME }

	for name, tt := range map[string]struct {
		got    *dns.Msg
		theirs []opinion
		ok     bool
	}{
		"cut at four places":        {chain(t, ours), refs(knot, nsd, bind), true},
		"one ends where we are cut": {chain(t, ours), refs(chain(t, ours, end), nsd, bind), true},
		"we end, others are cut":    {chain(t, 6, end), refs(chain(t, 6, end), nsd, knot), true},

		"nobody goes as far as we do":             {chain(t, ours), refs(knot, nsd, chain(t, 8, servfail)), false},
		"we end, nobody goes as far":              {chain(t, 6, end), refs(knot, nsd, chain(t, 5, servfail)), false},
		"we end where others go on":               {chain(t, ours, end), refs(knot, nsd, bind), false},
		"cut too early":                           {chain(t, ours-1), refs(knot, nsd, bind), false},
		"cut too late":                            {chain(t, ours+1), refs(knot, nsd, bind), false},
		"cut at once":                             {chain(t, 0), refs(knot, nsd, bind), false},
		"all references agree":                    {chain(t, ours), refs(bind, bind, bind), false},
		"we give up":                              {chain(t, ours, servfail), refs(knot, nsd, bind), false},
		"NXDOMAIN":                                {chain(t, ours, func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }), refs(knot, nsd, bind), false},
		"YXDOMAIN":                                {chain(t, ours, func(m *dns.Msg) { m.Rcode = dns.RcodeYXDomain }), refs(knot, nsd, bind), false},
		"not authoritative":                       {chain(t, ours, func(m *dns.Msg) { m.Authoritative = false }), refs(knot, nsd, bind), false},
		"truncated":                               {chain(t, ours, func(m *dns.Msg) { m.Truncated = true }), refs(knot, nsd, bind), false},
		"OPT":                                     {chain(t, ours, func(m *dns.Msg) { m.SetEdns0(1232, false) }), refs(knot, nsd, bind), false},
		"another question":                        {chain(t, ours, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX }), refs(knot, nsd, bind), false},
		"with the SOA of a negative":              {chain(t, ours, func(m *dns.Msg) { m.Ns = append(m.Ns, soa) }), refs(knot, nsd, bind), false},
		"another target at the end":               {chain(t, ours, replace(ours, "w."+strings.Repeat("b.", ours-1)+"d.z.invalid. 60 IN CNAME w.z.invalid.")), refs(knot, nsd, bind), false},
		"another TTL":                             {chain(t, ours, replace(2, "w.b.d.z.invalid. 61 IN CNAME w.b.b.d.z.invalid.")), refs(knot, nsd, bind), false},
		"another DNAME":                           {chain(t, ours, replace(0, "d.z.invalid. 60 IN DNAME c.d.z.invalid.")), refs(knot, nsd, bind), false},
		"no DNAME":                                {chain(t, ours, remove(0)), refs(knot, nsd, bind), false},
		"a CNAME missing":                         {chain(t, ours+1, remove(4)), refs(knot, nsd, bind), false},
		"the last but one missing":                {chain(t, ours+1, remove(ours)), refs(knot, nsd, bind), false},
		"two in the wrong order":                  {chain(t, ours, swap(3, 4)), refs(knot, nsd, bind), false},
		"the DNAME after its CNAME":               {chain(t, ours, swap(0, 1)), refs(knot, nsd, bind), false},
		"a record twice":                          {chain(t, ours, func(m *dns.Msg) { m.Answer = append(m.Answer, m.Answer[0]) }), refs(knot, nsd, bind), false},
		"an address on the way":                   {chain(t, ours, replace(3, "w.b.b.d.z.invalid. 60 IN A 192.0.2.1")), refs(knot, nsd, bind), false},
		"an address elsewhere":                    {chain(t, ours, func(m *dns.Msg) { m.Answer = append(m.Answer, rr(t, "x.z.invalid. 60 IN A 192.0.2.1")) }), refs(knot, nsd, bind), false},
		"one reference: another TTL":              {chain(t, ours), refs(chain(t, 5, replace(2, "w.b.d.z.invalid. 61 IN CNAME w.b.b.d.z.invalid.")), nsd, bind), false},
		"one reference: no DNAME":                 {chain(t, ours), refs(knot, nsd, chain(t, 13, servfail, remove(0))), false},
		"one reference: NXDOMAIN":                 {chain(t, ours), refs(knot, chain(t, 1, func(m *dns.Msg) { m.Rcode, m.Ns = dns.RcodeNameError, []dns.RR{soa} }), bind), false},
		"one reference: no data":                  {chain(t, ours), refs(knot, chain(t, 1, func(m *dns.Msg) { m.Ns = []dns.RR{soa} }), bind), false},
		"one reference: ends before":              {chain(t, ours), refs(knot, chain(t, 1, end), bind), false},
		"one reference: says nothing":             {chain(t, ours), refs(knot, nsd, chain(t, 0, servfail)), false},
		"one reference: another zone":             {chain(t, ours), refs(knot, chain(t, 1, replace(1, "w.d.z.invalid. 60 IN CNAME w.other.invalid.")), bind), false},
		"a question for aliases":                  {chain(t, ours, cname), refs(chain(t, 5, cname), chain(t, 1, cname), chain(t, 13, servfail, cname)), false},
		"one reference: no data where we are cut": {chain(t, ours), refs(chain(t, ours, func(m *dns.Msg) { m.Ns = []dns.RR{soa} }), nsd, bind), false},
		"one reference: NXDOMAIN without a SOA":   {chain(t, ours), refs(knot, chain(t, 1, func(m *dns.Msg) { m.Rcode = dns.RcodeNameError }), bind), false},
	} {
		if verdict := j.of(tt.got, tt.theirs); strings.HasPrefix(verdict, "wrong") == tt.ok {
			t.Errorf("%s: %s", name, verdict)
		}
	}
}

// TestJudgeOfOrder: an answer that all references would give is wrong if its aliases are not in their order, or something is there twice.
func TestJudgeOfOrder(t *testing.T) {
	j := judge{apexes: map[string]bool{"z.invalid.": true}}
	theirs := new(dns.Msg)
	theirs.SetQuestion("A.z.invalid.", dns.TypeA)
	theirs.Response = true
	alias, first, second := rr(t, "a.z.invalid. 60 IN CNAME B.z.invalid."), rr(t, "b.Z.invalid. 60 IN A 192.0.2.1"), rr(t, "b.z.invalid. 60 IN A 192.0.2.2")
	theirs.Answer = []dns.RR{alias, first, second}
	for _, tt := range []struct {
		answer []dns.RR
		want   string
	}{
		{[]dns.RR{alias, first, second}, "all agree"},
		{[]dns.RR{alias, second, first}, "all agree"},
		{[]dns.RR{first, second, alias}, "wrong: not on the way"},
		{[]dns.RR{first, alias, second}, "wrong: not on the way"},
		{[]dns.RR{alias, first, second, first}, "wrong: twice"},
		{[]dns.RR{rr(t, "c.z.invalid. 60 IN DNAME d.z.invalid."), alias, first, second}, "wrong: not on the way"},
		{[]dns.RR{alias, first}, "wrong: the references agree"},
		{[]dns.RR{alias}, "wrong: the references agree"},
	} {
		got := theirs.Copy()
		got.Answer = tt.answer
		if verdict := j.of(got, []opinion{{"knot", theirs}, {"nsd", theirs}}); !strings.HasPrefix(verdict, tt.want) {
			t.Errorf("%v: %s, want %s", tt.answer, verdict, tt.want)
		}
	}
}
