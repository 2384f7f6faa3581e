package differential

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
	"github.com/meridian-gslb/meridian/dnsserver/zone/zonefile"
	"github.com/meridian-gslb/meridian/test/peer"
)

// TestZoneFiles: zone files written in every way RFC 1035 5 and BIND allow are read by us as by BIND.
func TestZoneFiles(t *testing.T) {
	compile := peer.Find(t, "named-compilezone", "bind9-utils")
	seed := seeds(t)[0]
	t.Logf("MERIDIAN_SEED=%d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	records, refused := 0, 0
	for i := range 60 {
		z := generate(r, fmt.Sprintf("z%d.invalid.", i), nil)
		w := &writer{Rand: r, zone: z}
		text := w.text()
		dir := t.TempDir()
		peer.Write(t, filepath.Join(dir, "zone"), text)
		peer.Write(t, filepath.Join(dir, "included"), w.included.String())

		apex, err := wire.ParseName(z.apex)
		if err != nil {
			t.Fatal(err)
		}
		rrs, _, problems := zonefile.Parse(zonefile.Source{FS: os.DirFS(dir), Name: "zone", Origin: apex})
		if len(problems) > 0 {
			t.Fatalf("%s: %v\n%s", z.apex, problems, text)
		}
		out := filepath.Join(dir, "out")
		cmd := exec.Command(compile, "-k", "ignore", "-n", "ignore", "-m", "ignore", "-M", "ignore", "-S", "ignore", "-W", "ignore", "-i", "none",
			"-o", out, strings.TrimSuffix(z.apex, "."), "zone")
		cmd.Dir = dir
		if msg, err := cmd.CombinedOutput(); err != nil {
			if refused++; refused > 5 || !bytes.Contains(msg, []byte("CNAME and other data")) { // not for us to judge here
				t.Fatalf("named-compilezone: %v\n%s\n%s", err, msg, text)
			}
			continue
		}
		mine, theirs := ourRecords(t, rrs), bindRecords(t, out)
		records += len(mine)
		for _, k := range slices.Sorted(maps.Keys(mine)) {
			if !theirs[k] {
				t.Errorf("%s: we alone read %s", z.apex, k)
			}
		}
		for _, k := range slices.Sorted(maps.Keys(theirs)) {
			if !mine[k] {
				t.Errorf("%s: BIND alone reads %s", z.apex, k)
			}
		}
		if t.Failed() {
			t.Fatalf("of\n%s\nincluded:\n%s", text, w.included.String())
		}
	}
	t.Logf("%d records", records)
}

// ourRecords returns what we read, one line a record. The records of an RRset are given one TTL, the least (RFC 2181 5.2), as BIND does
// on reading and we on compiling.
func ourRecords(t *testing.T, rrs *zone.RRs) map[string]bool {
	least := map[string]uint32{}
	set := func(rr zone.RR) string { return fmt.Sprint(rr.Owner, rr.Type) }
	for rr := range rrs.All() {
		if ttl, ok := least[set(rr)]; !ok || rr.TTL < ttl {
			least[set(rr)] = rr.TTL
		}
	}
	out := map[string]bool{}
	for rr := range rrs.All() {
		header := dns.RR_Header{Name: rr.Owner.String(), Rrtype: rr.Type, Class: dns.ClassINET, Ttl: least[set(rr)], Rdlength: uint16(len(rr.RData))}
		msg := make([]byte, 512+len(rr.RData))
		at, err := dns.PackRR(&dns.RFC3597{Hdr: header, Rdata: hex.EncodeToString(rr.RData)}, msg, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := dns.UnpackRR(msg[:at], 0)
		if err != nil {
			t.Fatalf("%s: %v", header.String(), err)
		}
		out[line(t, back)] = true
	}
	return out
}

// bindRecords returns what named-compilezone wrote, in the same form.
func bindRecords(t *testing.T, file string) map[string]bool {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	zp := dns.NewZoneParser(bytes.NewReader(text), ".", file)
	for rr, ok := zp.Next(); ok; rr, ok = zp.Next() {
		out[line(t, rr)] = true
	}
	if err := zp.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// line is a record in a form that depends on its bytes alone.
func line(t *testing.T, rr dns.RR) string {
	t.Helper()
	msg := make([]byte, 66000)
	h := *rr.Header()
	at, err := dns.PackRR(rr, msg, 0, nil, false)
	if err != nil {
		t.Fatalf("%s: %v", rr, err)
	}
	rdata := msg[at-int(rr.Header().Rdlength) : at]
	if !slices.Contains([]uint16{dns.TypeTXT, dns.TypeHINFO}, h.Rrtype) {
		for i, c := range rdata { // names in it; what else is lost, both lose
			if 'A' <= c && c <= 'Z' {
				rdata[i] += 'a' - 'A'
			}
		}
	}
	owner := make([]byte, 256)
	n, err := dns.PackDomainName(strings.ToLower(h.Name), owner, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x (%s) %d %s %x", owner[:n], strings.ToLower(h.Name), h.Ttl, dns.Type(h.Rrtype), rdata)
}

// A writer writes the records of a zone as people do: relative names, owners and TTLs left out, entries over several lines.
type writer struct {
	*rand.Rand
	zone     *testZone
	b        strings.Builder
	included strings.Builder
	origin   string
	ttl      uint32 // of $TTL; 0: none yet
	last     string // owner of the entry before
}

func (w *writer) text() string {
	w.origin = w.zone.apex
	fmt.Fprint(&w.b, "; a zone made of dice\n\n   ; and another comment\n")
	for i, r := range w.zone.records {
		if i > 0 && w.IntN(12) == 0 {
			w.directive()
		}
		w.entry(&w.b, r)
		if i == len(w.zone.records)/2 {
			w.include()
		}
	}
	w.generate()
	return w.b.String()
}

// directive changes the origin or the default TTL.
func (w *writer) directive() {
	if w.IntN(2) == 0 {
		w.ttl = 60 * (1 + w.Uint32N(200))
		fmt.Fprintf(&w.b, "$TTL %s ; seconds\n", w.duration(w.ttl))
		return
	}
	w.origin = w.zone.apex
	if w.IntN(2) == 0 {
		w.origin = w.zone.records[w.IntN(len(w.zone.records))].owner
	}
	fmt.Fprintf(&w.b, "$ORIGIN\t%s\n", w.origin)
}

// include puts records into another file, whose origin and last owner do not outlive it.
func (w *writer) include() {
	inner := &writer{Rand: w.Rand, zone: w.zone, origin: w.origin, ttl: w.ttl}
	if w.IntN(2) == 0 {
		inner.origin = "inner." + w.zone.apex
		fmt.Fprintf(&w.b, "$INCLUDE included %s\n", inner.origin)
	} else {
		fmt.Fprint(&w.b, "$INCLUDE \"included\"\n")
	}
	for i := range 5 {
		inner.entry(&w.included, record{fmt.Sprintf("inc%d.%s", i, w.zone.apex), 90, "A", fmt.Sprintf("192.0.2.%d", i)})
	}
	w.last = ""
}

// generate adds records of BIND's $GENERATE.
func (w *writer) generate() {
	fmt.Fprintf(&w.b, "$ORIGIN %s\n", w.zone.apex)
	for _, line := range []string{
		"$GENERATE 1-4 gen$ 300 IN A 192.0.2.$\n",
		"$GENERATE 0-20/5 gen${1,3,d} 300 A 198.51.100.${0,0,d}\n",
		"$GENERATE 10-12 x${0,4,x} 300 CNAME y${-3}\n",
		"$GENERATE 1-3 m$ 300 MX \"10 mail$.elsewhere.invalid.\"\n",
		"$GENERATE 16-18 ${0,7,n}.rev 300 TXT nibbles$\n",
	} {
		if w.IntN(2) == 0 {
			w.b.WriteString(line)
		}
	}
}

// duration writes seconds, sometimes with units.
func (w *writer) duration(s uint32) string {
	if w.IntN(2) == 0 {
		return fmt.Sprint(s)
	}
	text := ""
	for _, u := range []struct {
		name string
		size uint32
	}{{"w", 604800}, {"D", 86400}, {"h", 3600}, {"M", 60}, {"s", 1}} {
		if n := s / u.size; n > 0 {
			text += fmt.Sprint(n, u.name)
			s -= n * u.size
		}
	}
	return strings.ReplaceAll(text, " ", "")
}

// relative writes a name relative to the origin, if it can be and the dice say so.
func (w *writer) relative(name string) string {
	switch rest, ok := strings.CutSuffix(name, "."+w.origin); {
	case w.IntN(3) == 0:
		return name
	case name == w.origin:
		return "@"
	case ok && !strings.HasSuffix(rest, `\`):
		return rest
	default:
		return name
	}
}

// entry writes one record.
func (w *writer) entry(b *strings.Builder, r record) {
	owner := w.relative(r.owner)
	if r.owner == w.last && w.IntN(3) > 0 {
		owner = ""
	}
	w.last = r.owner
	ttl, class := w.duration(r.ttl), "IN"
	if r.ttl == w.ttl && w.IntN(3) > 0 {
		ttl = ""
	}
	if w.IntN(2) == 0 {
		class = []string{"", "in"}[w.IntN(2)]
	}
	before := []string{ttl, class}
	if w.IntN(2) == 0 {
		before = []string{class, ttl}
	}
	rrtype := r.rrtype
	if w.IntN(3) == 0 {
		rrtype = strings.ToLower(rrtype)
	}
	if n, ok := dns.StringToType[r.rrtype]; ok && w.IntN(8) == 0 && (r.rrtype == "A" || r.rrtype == "TXT") {
		rrtype = fmt.Sprintf("TYPE%d", n)
	}
	fields := append([]string{owner}, before...)
	fields = append(fields, rrtype)
	var head []string
	for i, f := range fields {
		if f != "" || i == 0 {
			head = append(head, f)
		}
	}
	fmt.Fprintf(b, "%s %s\n", strings.Join(head, []string{" ", "\t", "  "}[w.IntN(3)]), w.value(r))
}

// value writes RDATA: names relative, over several lines, with comments.
func (w *writer) value(r record) string {
	fields := split(r.value)
	switch r.rrtype {
	case "NS", "CNAME", "PTR", "MX", "SRV", "DNAME", "AFSDB", "KX":
		fields[len(fields)-1] = w.relative(fields[len(fields)-1])
	case "SOA":
		fields[0], fields[1] = w.relative(fields[0]), w.relative(fields[1])
		for i := 3; i < 7; i++ {
			fields[i] = w.duration(number(fields[i]))
		}
	case "A":
		if w.IntN(10) == 0 {
			var ip [4]int
			fmt.Sscanf(r.value, "%d.%d.%d.%d", &ip[0], &ip[1], &ip[2], &ip[3])
			return fmt.Sprintf(`\# 4 %02x%02x %02x%02X`, ip[0], ip[1], ip[2], ip[3])
		}
	}
	if w.IntN(3) > 0 {
		return strings.Join(fields, " ")
	}
	text := "( "
	for _, f := range fields {
		text += f + []string{" ", "\n", "\t; a (comment) with \" in it\n   "}[w.IntN(3)]
	}
	return text + ") ; end"
}

// split cuts RDATA into fields; what is quoted is one.
func split(value string) []string {
	var out []string
	quoted, start := false, -1
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\':
			if start < 0 {
				start = i
			}
			i++
		case c == '"':
			quoted = !quoted
			if start < 0 {
				start = i
			}
		case c == ' ' && !quoted:
			if start >= 0 {
				out, start = append(out, value[start:i]), -1
			}
		case start < 0:
			start = i
		}
	}
	if start >= 0 {
		out = append(out, value[start:])
	}
	return out
}
