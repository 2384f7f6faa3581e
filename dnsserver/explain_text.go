package dnsserver

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/policy"
)

// maxExplained is the most bytes that the strings of an explanation by DNS have together.
const maxExplained = 4000

// explainLabel is the first label of the names whose TXT records explain the answer to the name after it.
var explainLabel = []byte("\x08_explain")

// explained returns the question that a name is about: _explain.www.gslb.example about A of www.gslb.example, _mx._explain.gslb.example about MX.
func explained(name wire.Name) (about wire.Name, rrtype uint16, ok bool) {
	rrtype = wire.TypeA
	if !bytes.HasPrefix(name, explainLabel) {
		n := int(name[0])
		if n < 2 || name[1] != '_' || !bytes.HasPrefix(name[1+n:], explainLabel) {
			return nil, 0, false
		}
		t, err := ParseType(string(name[2 : 1+n]))
		if err != nil {
			return nil, 0, false
		}
		name, rrtype = name[1+n:], t
	}
	return name[len(explainLabel):], rrtype, true
}

// explains answers a question for an explanation, if it is one, and whoever asks is in ExplainFrom. For everybody else there is no such name. Who
// asks over UDP without a cookie may be somebody else, for whom it would be much: it is told to come over TCP.
func (a *Answerer) explains() bool {
	if a.rrtype != wire.TypeTXT || a.query.Class != wire.ClassIN {
		return false
	}
	about, rrtype, ok := explained(a.query.Name)
	from := a.from.Addr().Unmap().WithZone("")
	if !ok || !within4or6(a.ExplainFrom, from) {
		return false
	}
	p := &a.path
	a.zones.LookupAt(&p.match, p.spot, p.name, a.rrtype)
	if p.match.Zone == nil || !p.match.Zone.Allows(a.from.Addr()) {
		return false
	}
	p.first = p.match.Zone
	if a.Transport == UDP && !a.cookieValid {
		a.builder.SetTruncated()
		return true
	}
	asked := Question{Name: about, Type: rrtype, Resolver: from}
	if a.query.HasSubnet && a.query.Subnet.IsValid() {
		asked.Client = a.query.Subnet
		a.scope = uint8(a.query.Subnet.Bits())
	}
	x := Explain(a.snapshot, asked)
	a.builder.SetAuthoritative()
	a.set.begin(wire.TypeTXT, whoamiTTL)
	start := len(a.set.buf)
	for _, line := range x.texts() {
		a.set.buf = append(append(a.set.buf, byte(len(line))), line...)
	}
	a.set.end(start)
	a.builder.Add(wire.Answer, p.owner, &a.set.RRset)
	return true
}

// within4or6 reports whether an address is in one of some networks.
func within4or6(list []netip.Prefix, addr netip.Addr) bool {
	for _, p := range list {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// texts returns the Explanation as the strings of one TXT record: each of at most 255 bytes, together at most maxExplained.
func (x *Explanation) texts() (out []string) {
	const last = "more: meridian explain"
	left := maxExplained - 1 - len(last)
	for _, line := range x.lines() {
		line = cut(strings.ToValidUTF8(line, "?"), 255)
		if left -= 1 + len(line); left < 0 {
			return append(out, last)
		}
		out = append(out, line)
	}
	return out
}

// cut shortens a text to a number of bytes.
func cut(s string, most int) string {
	const dots = "..."
	if len(s) <= most {
		return s
	}
	s = s[:most-len(dots)]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + dots
}

// lines returns the Explanation in short lines.
func (x *Explanation) lines() (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	add("%s %s: %s, %s", x.Name, x.Type, x.RCode, x.Kind)
	if len(x.Chain) > 0 {
		add("aliases: %s", strings.Join(x.Chain, " > "))
	}
	if t := x.Trace; t != nil {
		add("service %s, policy %s, reason %s", x.Service, x.Policy, t.Reason)
		add("client %s by %s: %s", t.Client.Prefix, x.Located, t.Client.Where())
		for i := range t.Stages {
			stageLines(add, "", i, &t.Stages[i])
		}
	}
	for _, r := range x.Answers {
		add("answer: %s", r)
	}
	for _, s := range x.TTLSteps {
		add("ttl: %s", s)
	}
	for _, s := range x.ScopeSteps {
		add("scope: %s", s)
	}
	for _, s := range x.Varies {
		add("varies: %s", s)
	}
	for _, o := range x.Odds {
		add("odds: %s first %.1f %%, listed %.1f %%", o.Endpoint, 100*o.First, 100*o.Listed)
	}
	for _, n := range x.Notes {
		add("note: %s", n)
	}
	return out
}

// stageLines adds a line of a stage, and of those inside it.
func stageLines(add func(string, ...any), indent string, i int, s *policy.StageTrace) {
	names := func(list []policy.CandidateTrace, why bool) string {
		var out []string
		for _, c := range list {
			word := c.Name
			if c.State != policy.Up && c.State != policy.Unknown {
				word += " " + c.State.String()
			}
			if why && c.Why != "" && c.Why != c.State.String() {
				word += " (" + c.Why + ")"
			}
			out = append(out, word)
		}
		return abridged(out)
	}
	line := fmt.Sprintf("%s%d %s", indent, i, s.Stage)
	if s.Rule != "" {
		line += " rule " + s.Rule
	}
	line += ": " + names(s.Kept, false)
	if len(s.Dropped) > 0 {
		line += "; not " + names(s.Dropped, true)
	}
	add("%s", line)
	for _, b := range s.Branches {
		add("%s branch %s: %s", indent, b.Branch, b.Outcome)
		for j := range b.Stages {
			stageLines(add, indent+"  ", j, &b.Stages[j])
		}
	}
}
