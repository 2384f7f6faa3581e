package differential

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// A record is one line of a zone file.
type record struct {
	owner  string // absolute
	ttl    uint32
	rrtype string
	value  string
}

func (r record) String() string {
	return fmt.Sprintf("%s %d IN %s %s", r.owner, r.ttl, r.rrtype, r.value)
}

// A testZone is a zone made of dice.
type testZone struct {
	apex    string // absolute
	records []record
}

// text returns the zone file.
func (z *testZone) text() string {
	var b strings.Builder
	for _, r := range z.records {
		b.WriteString(r.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// A generator makes zones in which names collide a lot: few labels, little depth, so that wildcards, empty non-terminals, cuts
// and aliases lie across each other.
type generator struct {
	*rand.Rand
	zone   *testZone
	others []string // apexes of other zones that are served
	kinds  map[string]string
	seen   map[string]bool
	dice   []string // the kinds of owners, as often as they shall come up
}

var labels = []string{"a", "b", "c", "d", "www", "Mixed", `dot\.ted`, `\255\000`, "_tcp", "x-1", "a.a", "b.b"}

// weights says how often what comes up at a new owner.
var weights = []struct {
	kind  string
	count int
}{
	{"address", 6}, {"text", 3}, {"big", 1}, {"mx", 2}, {"srv", 2}, {"cname", 5}, {"cut", 4}, {"dname", 3},
	{"other", 3}, {"unknown", 1}, {"https", 2}, {"wildaddress", 2}, {"wildcname", 2}, {"wildother", 2}, {"deep", 2},
}

// generate returns a zone. The same dice give the same zone.
func generate(r *rand.Rand, apex string, others []string) *testZone {
	g := &generator{Rand: r, zone: &testZone{apex: apex}, others: others, kinds: map[string]string{}, seen: map[string]bool{}}
	for _, w := range weights {
		for range w.count {
			g.dice = append(g.dice, w.kind)
		}
	}
	ttl := 60 * (1 + g.Uint32N(100))
	g.add(apex, ttl, "SOA", fmt.Sprintf("ns.%s hostmaster.%s 7 7200 900 1209600 %d", apex, apex, 30+g.Uint32N(7200)))
	g.add(apex, ttl, "NS", "ns."+apex)
	g.kinds[key(apex)] = "apex"
	if g.IntN(2) == 0 {
		g.add(apex, ttl, "NS", "ns.elsewhere.invalid.")
	}
	g.set("ns."+apex, "address")
	for _, kind := range []string{"mx", "text", "address", "https"} {
		if g.IntN(2) == 0 {
			g.data(apex, ttl, kind)
		}
	}
	for range 3 + g.IntN(30) {
		kind := g.dice[g.IntN(len(g.dice))]
		owner := g.name()
		switch kind {
		case "wildaddress", "wildcname", "wildother":
			owner, kind = "*."+owner, kind[4:]
			if g.IntN(4) == 0 {
				owner = "*." + apex
			}
		case "deep":
			owner, kind = g.label()+".ent."+owner, "address"
		}
		g.set(owner, kind)
	}
	return g.zone
}

func key(name string) string { return strings.ToLower(name) }

func (g *generator) label() string { return labels[g.IntN(len(labels))] }

// name returns a name inside the zone: below the apex, or below a name that is there already.
func (g *generator) name() string {
	base := g.zone.apex
	if g.IntN(3) == 0 {
		base = g.owner()
	}
	name := g.label() + "." + base
	for g.IntN(3) == 0 {
		name = g.label() + "." + name
	}
	return name
}

// owner returns the owner of some record of the zone.
func (g *generator) owner() string { return g.zone.records[g.IntN(len(g.zone.records))].owner }

// add appends a record, once.
func (g *generator) add(owner string, ttl uint32, rrtype, value string) {
	r := record{owner, ttl, rrtype, value}
	if k := key(owner) + " " + rrtype + " " + key(value); !g.seen[k] {
		g.seen[k] = true
		g.zone.records = append(g.zone.records, r)
	}
}

// set gives data to an owner, if it may have data of that kind: an alias stands alone, and nothing is below a DNAME.
func (g *generator) set(owner, kind string) {
	if len(owner) > 200 {
		return
	}
	k := key(owner)
	if had := g.kinds[k]; had == "cname" || had == "dname" || kind == "cname" && had != "" || kind == "cut" && had != "" && had != "address" {
		return
	}
	for name, had := range g.kinds {
		if had == "dname" && dns.IsSubDomain(name, k) || kind == "dname" && dns.IsSubDomain(k, name) {
			return
		}
	}
	if (kind == "cut" || kind == "dname") && strings.Contains(owner, "*") {
		return
	}
	g.kinds[k] = kind
	ttl := 30 + 10*g.Uint32N(500)
	for i := slices.IndexFunc(g.zone.records, func(r record) bool { return key(r.owner) == k }); i >= 0; {
		ttl, i = g.zone.records[i].ttl, -1
	}
	g.data(owner, ttl, kind)
}

// longest returns a name of 255 bytes below another.
func longest(name string) string {
	for rest := 254 - len(name); rest > 0; {
		n := min(rest, 51)
		if rest == n+1 {
			n--
		}
		name, rest = strings.Repeat("l", n-1)+"."+name, rest-n
	}
	return name
}

// target returns a name to point to: often one that is there, or made, or elsewhere, seldom one that a DNAME makes short, or that is as long as can be.
func (g *generator) target() string {
	if g.IntN(12) == 0 {
		return []string{".", "invalid.", longest(g.zone.apex)}[g.IntN(3)]
	}
	switch g.IntN(8) {
	case 0:
		return "www.elsewhere.invalid."
	case 1:
		if len(g.others) > 0 {
			return g.label() + "." + g.others[g.IntN(len(g.others))]
		}
		fallthrough
	case 2, 3:
		return g.name()
	case 4:
		return g.label() + "." + g.owner()
	default:
		return strings.Replace(g.owner(), "*", g.label(), 1)
	}
}

// data adds the records of a kind.
func (g *generator) data(owner string, ttl uint32, kind string) {
	switch kind {
	case "address":
		for range 1 + g.IntN(3) {
			g.add(owner, ttl, "A", fmt.Sprintf("192.0.2.%d", g.IntN(256)))
		}
		if g.IntN(2) == 0 {
			g.add(owner, ttl, "AAAA", fmt.Sprintf("2001:db8::%x", 1+g.IntN(65535)))
		}
	case "text":
		g.add(owner, ttl, "TXT", []string{`"one" "two"`, `"Case \"quoted\" \\ \200\000"`, `""`, `"semi;colon"`}[g.IntN(4)])
	case "big":
		for i := range 2 + g.IntN(12) {
			g.add(owner, ttl, "TXT", fmt.Sprintf(`"%02d%s" "%s"`, i, strings.Repeat("x", g.IntN(200)), strings.Repeat("y", g.IntN(250))))
		}
	case "mx":
		for range 1 + g.IntN(3) {
			g.add(owner, ttl, "MX", fmt.Sprintf("%d %s", 10*g.IntN(4), g.target()))
		}
	case "srv":
		for range 1 + g.IntN(2) {
			g.add(owner, ttl, "SRV", fmt.Sprintf("%d %d 443 %s", g.IntN(3), g.IntN(100), g.target()))
		}
	case "cname":
		g.add(owner, ttl, "CNAME", g.target())
	case "dname":
		g.add(owner, ttl, "DNAME", g.target())
	case "https":
		g.add(owner, ttl, "HTTPS", []string{`1 . alpn="h2,h3" port=8443 ipv4hint=192.0.2.1`, "0 " + g.target(), "16 " + g.target() + " ipv6hint=2001:db8::1"}[g.IntN(3)])
	case "unknown":
		g.add(owner, ttl, "TYPE65280", fmt.Sprintf(`\# 4 %08x`, g.Uint32()))
		if g.IntN(3) == 0 {
			g.add(owner, ttl, "TYPE731", `\# 0`)
		}
	case "other":
		g.other(owner, ttl)
	case "cut":
		g.cut(owner, ttl)
	}
}

// other adds a record of a rarer type.
func (g *generator) other(owner string, ttl uint32) {
	all := [][2]string{
		{"CAA", `0 issue "ca.example"`},
		{"PTR", g.target()},
		{"NAPTR", `10 20 "S" "SIP+D2U" "" _sip._udp.` + g.zone.apex},
		{"SSHFP", "4 2 " + strings.Repeat("ab", 32)},
		{"TLSA", "3 1 1 " + strings.Repeat("cd", 32)},
		{"HINFO", `"Cpu" "Os"`},
		{"RP", "admin.Mixed." + g.zone.apex + " ."},
		{"AFSDB", "1 " + g.target()},
		{"URI", `10 1 "https://www.example/"`},
		{"LOC", "51 30 12.748 N 0 7 39.611 W 0.00m 1m 1000m 10m"},
		{"SVCB", "1 " + g.target() + " port=53"},
		{"DNSKEY", "257 3 13 " + strings.Repeat("AAAA", 16)},
		{"KX", "1 " + g.target()},
		{"CERT", "1 0 0 AAAA"},
		{"SMIMEA", "3 0 0 abcd"},
		{"OPENPGPKEY", "AAAA"},
		{"EUI48", "00-00-5e-00-53-2a"},
	}
	r := all[g.IntN(len(all))]
	g.add(owner, ttl, r[0], r[1])
}

// cut delegates a name: to servers inside, beside or outside, with addresses where they are needed, and sometimes with a DS and
// with data that the cut hides.
func (g *generator) cut(owner string, ttl uint32) {
	for range 1 + g.IntN(3) {
		switch g.IntN(4) {
		case 0:
			g.add(owner, ttl, "NS", "ns.elsewhere.invalid.")
		case 1:
			g.add(owner, ttl, "NS", "ns."+g.zone.apex)
		case 2:
			server := "ns" + g.label() + "." + owner
			g.add(owner, ttl, "NS", server)
			g.glue(server)
		case 3:
			g.add(owner, ttl, "NS", owner)
			g.glue(owner)
		}
	}
	if g.IntN(3) == 0 {
		g.add(owner, ttl, "DS", fmt.Sprintf("%d 13 2 %s", g.IntN(65536), strings.Repeat("0a", 32)))
	}
	if g.IntN(3) == 0 {
		g.add(g.label()+"."+owner, 77, "TXT", `"hidden by the cut"`)
		g.add("*."+owner, 77, "A", "192.0.2.77")
	}
}

func (g *generator) glue(server string) {
	ttl := uint32(120)
	for _, r := range g.zone.records {
		if key(r.owner) == key(server) {
			ttl = r.ttl
		}
	}
	g.add(server, ttl, "A", fmt.Sprintf("198.51.100.%d", g.IntN(256)))
	if g.IntN(2) == 0 {
		g.add(server, ttl, "AAAA", fmt.Sprintf("2001:db8:1::%x", 1+g.IntN(65535)))
	}
}

// askedTypes are asked for at names beside the types they have.
var askedTypes = []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeTXT, dns.TypeMX, dns.TypeNS, dns.TypeDS, dns.TypeSOA, dns.TypeCNAME, dns.TypeHTTPS,
	dns.TypeSRV, dns.TypeDNAME, dns.TypeDNSKEY, 65280, 731}

// A query is a question and how it is asked.
type query struct {
	name string
	qt   uint16
	size uint16 // of EDNS; 0: without
	do   bool
	tcp  bool
}

func (q query) String() string {
	return fmt.Sprintf("%s %s edns=%d do=%v tcp=%v", q.name, dns.Type(q.qt), q.size, q.do, q.tcp)
}

// questions returns n queries for names in and around a zone.
func questions(r *rand.Rand, z *testZone, n int) []query {
	g := &generator{Rand: r, zone: z}
	var out []query
	for len(out) < n {
		rec := z.records[g.IntN(len(z.records))]
		name, qt := rec.owner, dns.StringToType[rec.rrtype]
		if strings.HasPrefix(rec.rrtype, "TYPE") {
			fmt.Sscanf(rec.rrtype, "TYPE%d", &qt)
		}
		switch g.IntN(60) / 5 {
		case 11: // outside
			if g.IntN(3) == 0 {
				name = "x" + z.apex
			}
		case 0: // below something
			name = g.label() + "." + name
		case 1:
			name = g.label() + "." + g.label() + "." + name
		case 2: // above something
			if above := parent(name); dns.IsSubDomain(z.apex, above) {
				name = above
			}
		case 3:
			name = g.label() + "." + z.apex
		case 4:
			name = strings.Replace(name, "*", g.label(), 1)
		case 5: // beside something
			if above := parent(name); dns.IsSubDomain(z.apex, above) {
				name = g.label() + "." + above
			}
		}
		if _, valid := dns.IsDomainName(name); !valid || len(name) > 230 {
			continue
		}
		if g.IntN(2) == 0 {
			qt = askedTypes[g.IntN(len(askedTypes))]
		}
		q := query{name: g.shout(name), qt: qt, size: []uint16{0, 0, 512, 1232, 4096, 700, 100}[g.IntN(7)], tcp: g.IntN(8) == 0}
		q.do = q.size > 0 && g.IntN(3) == 0
		out = append(out, q)
	}
	return out
}

// parent returns a name without its first label.
func parent(name string) string {
	if at, end := dns.NextLabel(name, 0); !end {
		return name[at:]
	}
	return "."
}

// shout turns letters to capitals at random (0x20), leaving escapes alone.
func (g *generator) shout(name string) string {
	b := []byte(name)
	for i := range b {
		if g.IntN(4) == 0 && 'a' <= b[i] && b[i] <= 'z' {
			b[i] -= 'a' - 'A'
		}
	}
	return string(b)
}
