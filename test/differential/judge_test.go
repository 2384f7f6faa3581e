package differential

import (
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// A judge compares responses.
type judge struct {
	apexes map[string]bool // of all zones that are served
}

// An opinion is what a reference says.
type opinion struct {
	name string
	said *dns.Msg
}

// said returns who says what, in normal form.
func said(theirs []opinion) map[string][]string {
	out := map[string][]string{}
	for _, o := range theirs {
		n := normal(o.said)
		out[n] = append(out[n], o.name)
	}
	return out
}

// of says who agrees with our response; it begins with "wrong" if it must not be as it is. Where references differ, it may also be that
// chains of aliases were followed less far, and all else is the same.
func (j judge) of(got *dns.Msg, theirs []opinion) string {
	if fault := fault(got); fault != "" {
		return "wrong: " + fault
	}
	verdict := compare(normal(got), said(theirs))
	switch {
	case !strings.HasPrefix(verdict, "wrong"):
		return verdict
	case j.sameInside(got, theirs):
		return "we agree with some up to where the chain leaves the zone"
	case len(said(theirs)) > 1 && j.sameToCut(got, theirs):
		return "we agree with all up to where bounds cut the chain"
	}
	return verdict
}

// compare says who agrees with whom. theirs is who says what.
func compare(mine string, theirs map[string][]string) string {
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

// fault says what is wrong with the answer section of a response, whatever others say: no RRset holds a record twice (RFC 2181 5), and
// a chain of aliases stands in its order, from the name in question to its end, as many clients read it but once. It returns "" if all is
// well.
func fault(m *dns.Msg) string {
	if len(m.Question) == 0 {
		return ""
	}
	at := key(m.Question[0].Name)
	for i, rr := range m.Answer {
		for _, before := range m.Answer[:i] {
			if dns.IsDuplicate(rr, before) {
				return "twice in the answer: " + rr.String()
			}
		}
		owner := key(rr.Header().Name)
		switch rr := rr.(type) {
		case *dns.DNAME:
			if owner != at && !dns.IsSubDomain(owner, at) {
				return "not on the way to the answer: " + rr.String()
			}
			continue
		case *dns.CNAME:
			if owner == at {
				at = key(rr.Target)
				continue
			}
		}
		if owner != at {
			return "not on the way to the answer: " + rr.String()
		}
	}
	return ""
}

// sameInside reports whether our chain of aliases leaves the zone, and is up to there as one reference has it, whose chain does so too.
func (j judge) sameInside(got *dns.Msg, theirs []opinion) bool {
	mine, ok := j.inside(got)
	return ok && slices.ContainsFunc(theirs, func(o opinion) bool {
		other, ok := j.inside(o.said)
		return ok && normal(other) == normal(mine)
	})
}

// inside returns a response cut where its chain of aliases leaves the zone of the question, if it does. Who follows chains from zone to
// zone owes the response code of their end (RFC 6604 3), who does not leaves it to the resolver. A DS at an apex is in the zone above.
func (j judge) inside(m *dns.Msg) (*dns.Msg, bool) {
	at := j.zoneOf(m.Question[0].Name)
	for i, rr := range m.Answer {
		if c, ok := rr.(*dns.CNAME); ok && (j.zoneOf(c.Target) != at || m.Question[0].Qtype == dns.TypeDS && key(c.Target) == at) {
			m = m.Copy()
			m.Answer, m.Ns, m.Rcode, m.Truncated = m.Answer[:i+1], nil, dns.RcodeSuccess, false
			m.Extra = slices.DeleteFunc(m.Extra, func(rr dns.RR) bool { return rr.Header().Rrtype != dns.TypeOPT })
			return m, true
		}
	}
	return nil, false
}

// sameToCut reports whether all references and we say the same up to where some had followed as many aliases as they do. What we say
// beyond the end of some, another must say too, and we follow as many as we promise.
func (j judge) sameToCut(got *dns.Msg, theirs []opinion) bool {
	if got.Rcode != dns.RcodeSuccess || j.cut(got) && aliases(got) != zone.MaxChain+1 {
		return false
	}
	witnessed := false
	for _, o := range theirs {
		short, long := got, o.said
		if len(short.Answer) > len(long.Answer) {
			short, long = long, short
		}
		if !j.cut(short) || len(short.Answer) == len(long.Answer) && !j.cut(long) {
			return false
		}
		if !slices.Equal(head(short, true), head(long, true)) || !slices.Equal(records(short.Answer), records(long.Answer[:len(short.Answer)])) {
			return false
		}
		witnessed = witnessed || long == o.said
	}
	return witnessed
}

// cut reports whether a response ends at an alias that leads on inside the zone, as it does where its sender follows no further. BIND
// says SERVFAIL then, the others nothing.
func (j judge) cut(m *dns.Msg) bool {
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeServerFailure || len(m.Answer) == 0 || len(m.Ns) > 0 {
		return false
	}
	c, ok := m.Answer[len(m.Answer)-1].(*dns.CNAME)
	return ok && m.Question[0].Qtype != dns.TypeCNAME && m.Question[0].Qtype != dns.TypeANY && j.zoneOf(c.Target) == j.zoneOf(m.Question[0].Name)
}

// aliases returns the number of CNAMEs in an answer.
func aliases(m *dns.Msg) (n int) {
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == dns.TypeCNAME {
			n++
		}
	}
	return n
}

// zoneOf returns the longest apex that holds a name.
func (j judge) zoneOf(name string) string {
	for name = key(name); name != "." && !j.apexes[name]; {
		name = parent(name)
	}
	return name
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
func normal(m *dns.Msg) string {
	lines := head(m, false)
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

// head returns the header with its flags, the response code unless it is free, EDNS, and the question.
func head(m *dns.Msg, anyRcode bool) []string {
	line := dns.RcodeToString[m.Rcode]
	if anyRcode {
		line = "any"
	}
	for _, f := range []struct {
		on   bool
		name string
	}{{m.Response, "qr"}, {m.Authoritative, "aa"}, {m.Truncated, "tc"}, {m.RecursionDesired, "rd"}, {m.RecursionAvailable, "ra"}, {m.Zero, "z"},
		{m.AuthenticatedData, "ad"}, {m.CheckingDisabled, "cd"}} {
		if f.on {
			line += " " + f.name
		}
	}
	if opt := m.IsEdns0(); opt != nil {
		line += fmt.Sprintf(" edns%d do=%v size=%d", opt.Version(), opt.Do(), opt.UDPSize())
	}
	lines := []string{line}
	if len(m.Question) == 1 {
		lines = append(lines, fmt.Sprintf("? %s %s", m.Question[0].Name, dns.Type(m.Question[0].Qtype)))
	}
	return lines
}

// section returns records as sorted lines.
func section(name string, rrs []dns.RR) []string {
	out := records(rrs)
	for i := range out {
		out[i] = name + " " + out[i]
	}
	slices.Sort(out)
	return slices.Compact(out) // those who follow a circle once round say some records twice
}

// records returns records as lines, in their order.
func records(rrs []dns.RR) []string {
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
		out = append(out, text)
	}
	return out
}
