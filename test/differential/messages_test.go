package differential

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// messages are queries that are odd as messages: bytes, and what they are.
func messages(t *testing.T) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	add := func(name string, edit func(*dns.Msg), raw func([]byte) []byte) {
		m := new(dns.Msg)
		m.SetQuestion("www."+settle, dns.TypeA)
		m.RecursionDesired = false
		if edit != nil {
			edit(m)
		}
		b, err := m.Pack()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if raw != nil {
			b = raw(b)
		}
		out[name] = b
	}
	opt := func(m *dns.Msg) { m.SetEdns0(1232, false) }
	counts := func(at int, n uint16) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint16(b[at:], n); return b }
	}
	add("plain", nil, nil)
	add("QR set", func(m *dns.Msg) { m.Response = true }, nil)
	for opcode := range 16 {
		add(fmt.Sprintf("opcode %d", opcode), func(m *dns.Msg) { m.Opcode = opcode }, nil)
		add(fmt.Sprintf("opcode %d with EDNS", opcode), func(m *dns.Msg) { opt(m); m.Opcode = opcode }, nil)
	}
	for _, class := range []uint16{0, 2, dns.ClassCHAOS, dns.ClassHESIOD, dns.ClassNONE, dns.ClassANY, 65280} {
		add(fmt.Sprintf("class %d", class), func(m *dns.Msg) { m.Question[0].Qclass = class }, nil)
		add(fmt.Sprintf("class %d elsewhere", class), func(m *dns.Msg) { m.Question[0].Qclass, m.Question[0].Name = class, "elsewhere.example." }, nil)
	}
	for _, qt := range []uint16{0, dns.TypeOPT, dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeTKEY, dns.TypeTSIG, dns.TypeIXFR, dns.TypeAXFR, dns.TypeMAILB,
		dns.TypeMAILA, dns.TypeANY, 128, 200, 256, 65535} {
		add(fmt.Sprintf("type %d", qt), func(m *dns.Msg) { m.Question[0].Qtype = qt }, nil)
		add(fmt.Sprintf("type %d at the apex, with EDNS", qt), func(m *dns.Msg) { opt(m); m.Question[0].Qtype, m.Question[0].Name = qt, settle }, nil)
	}
	for i, flag := range []string{"RA", "RD", "TC", "AA"} {
		add(flag+" set", nil, func(b []byte) []byte { b[[]int{3, 2, 2, 2}[i]] |= []byte{0x80, 1, 2, 4}[i]; return b })
	}
	for i, flag := range []string{"CD", "AD", "Z"} {
		add(flag+" set", nil, func(b []byte) []byte { b[3] |= 0x10 << i; return b })
	}
	add("response code set", nil, func(b []byte) []byte { b[3] |= 5; return b })
	add("no question", func(m *dns.Msg) { m.Question = nil }, nil)
	add("no question, EDNS", func(m *dns.Msg) { m.Question = nil; opt(m) }, nil)
	add("two questions", func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }, nil)
	add("an answer in the query", func(m *dns.Msg) { m.Answer = []dns.RR{a()} }, nil)
	add("an authority in the query", func(m *dns.Msg) { m.Ns = []dns.RR{a()} }, nil)
	add("an additional record in the query", func(m *dns.Msg) { m.Extra = []dns.RR{a()} }, nil)
	add("QDCOUNT 1 and nothing", nil, func(b []byte) []byte { return b[:12] })
	add("ANCOUNT 1 and nothing", nil, counts(6, 1))
	add("ARCOUNT 1 and nothing", nil, counts(10, 1))
	add("ARCOUNT 65535", opt, counts(10, 65535))
	add("11 bytes", nil, func(b []byte) []byte { return b[:11] })
	add("question cut", nil, func(b []byte) []byte { return b[:len(b)-3] })
	add("name cut", nil, func(b []byte) []byte { return b[:16] })
	add("a byte too many", nil, func(b []byte) []byte { return append(b, 0) })
	add("name points to itself", nil, func(b []byte) []byte { return append(b[:12], 0xc0, 12, 0, 1, 0, 1) })
	add("name points forward", nil, func(b []byte) []byte { return append(b[:12], 0xc0, 30, 0, 1, 0, 1) })
	add("label of type 01", nil, func(b []byte) []byte { b[12] = 0x41; return b })
	add("EDNS", opt, nil)
	add("EDNS 1", func(m *dns.Msg) { opt(m); m.IsEdns0().SetVersion(1) }, nil)
	add("EDNS 1 elsewhere", func(m *dns.Msg) { opt(m); m.IsEdns0().SetVersion(1); m.Question[0].Name = "elsewhere.example." }, nil)
	add("EDNS, opaque options", func(m *dns.Msg) {
		opt(m)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: 65001, Data: make([]byte, 20)}, &dns.EDNS0_LOCAL{Code: 0, Data: nil}}
	}, nil)
	add("EDNS, option longer than the record", opt, func(b []byte) []byte {
		binary.BigEndian.PutUint16(b[len(b)-2:], 4)
		return append(b, 0xfd, 0xe9, 0, 9)
	})
	add("EDNS, half an option", opt, func(b []byte) []byte { binary.BigEndian.PutUint16(b[len(b)-2:], 2); return append(b, 0xfd, 0xe9) })
	add("EDNS, RDLENGTH too long", opt, func(b []byte) []byte { b[len(b)-1] = 9; return b })
	add("two OPT", func(m *dns.Msg) { opt(m); m.Extra = append(m.Extra, m.Extra[0]) }, nil)
	add("OPT in the answer section", func(m *dns.Msg) { opt(m); m.Answer, m.Extra = m.Extra, nil }, nil)
	add("OPT not of the root", opt, func(b []byte) []byte {
		return append(slices.Clone(b[:len(b)-11]), append([]byte{1, 'x', 0}, b[len(b)-10:]...)...)
	})
	add("OPT and more after it", func(m *dns.Msg) { opt(m); m.Extra = append(m.Extra, a()) }, nil)
	add("cookie of 7 bytes", cookie(7), nil)
	add("cookie of 9 bytes", cookie(9), nil)
	add("cookie of 15 bytes", cookie(15), nil)
	add("cookie of 41 bytes", cookie(41), nil)
	add("TSIG of nobody", func(m *dns.Msg) { m.SetTsig("nobody.", dns.HmacSHA256, 300, time.Now().Unix()) }, nil)
	add("label of 63 bytes", func(m *dns.Msg) { m.Question[0].Name = strings.Repeat("x", 63) + "." + settle }, nil)
	add("name of 255 bytes", func(m *dns.Msg) {
		name := settle
		for len(name)+64 < 254 {
			name = strings.Repeat("x", 63) + "." + name
		}
		m.Question[0].Name = strings.Repeat("y", 254-len(name)-1) + "." + name
	}, nil)
	return out
}

func a() dns.RR {
	rr, err := dns.NewRR("www.settle.invalid. 60 IN A 192.0.2.1")
	if err != nil {
		panic(err)
	}
	return rr
}

func cookie(n int) func(*dns.Msg) {
	return func(m *dns.Msg) {
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = []dns.EDNS0{&dns.EDNS0_LOCAL{Code: dns.EDNS0COOKIE, Data: make([]byte, n)}}
	}
}

// TestOddMessages: what is odd is answered as by Knot, NSD and BIND if they agree, else as by one of them.
func TestOddMessages(t *testing.T) {
	zones := []*testZone{{apex: "odd.invalid.", records: []record{{"odd.invalid.", 60, "SOA", "ns. . 1 2 3 4 5"}, {"odd.invalid.", 60, "NS", "ns.elsewhere.example."}}}}
	us := serve(t, append(zones, &testZone{apex: settle, records: []record{
		{settle, 60, "SOA", "ns.elsewhere.invalid. . 1 2 3 4 5"}, {settle, 60, "NS", "ns.elsewhere.invalid."}}}))
	refs := []*reference{startKnot(t, zones), startNSD(t, zones), startBIND(t, zones)}
	all := messages(t)
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	said := map[string]map[string][]string{}
	for name := range all {
		said[name] = map[string][]string{}
	}
	for _, ref := range refs {
		for name, text := range ref.askAll(t, all) {
			said[name][text] = append(said[name][text], ref.name)
		}
	}
	for _, name := range names {
		mine := summary(us.ask(all[name], false))
		theirs := said[name]
		verdict := compare(mine, theirs)
		switch {
		case strings.HasPrefix(verdict, "wrong") && reasoned[name] == "":
			t.Errorf("%s: %s\nours:\n%s\n%s", name, verdict, indent(mine), show(theirs))
		case strings.HasPrefix(verdict, "wrong"):
			t.Logf("%s: ours %s, %s: %s", name, mine, strings.ReplaceAll(show(theirs), "\n", ""), reasoned[name])
		case reasoned[name] != "":
			t.Errorf("%s: %s: no reason is needed any more", name, verdict)
		}
	}
}

// reasoned are the messages that we answer as none of the references does, and why.
var reasoned = map[string]string{
	"ARCOUNT 65535":                       keepsOPT,
	"EDNS, half an option":                keepsOPT,
	"EDNS, option longer than the record": keepsOPT,
	"two OPT":                             keepsOPT,
	"opcode 5 with EDNS":                  keepsOPT,
	"opcode 4":                            noSecondary,
	"opcode 4 with EDNS":                  noSecondary,
	"TSIG of nobody":                      "TSIG is not supported: a record like others, and ignored",
	"class 255":                           "no class but IN (and CH) is served",
	"type 200":                            noMeta,
	"type 200 at the apex, with EDNS":     noMeta,
	"type 249":                            noMeta,
	"type 249 at the apex, with EDNS":     noMeta,
	"type 250":                            noMeta,
	"type 250 at the apex, with EDNS":     noMeta,
	"type 251":                            noTransfers,
	"type 252":                            noTransfers,
	"type 252 at the apex, with EDNS":     noTransfers,
}

const (
	keepsOPT    = "a query with OPT gets a response with OPT, FORMERR and NOTIMP too (RFC 6891 6.1.1): without it a resolver would think that we know no EDNS"
	noMeta      = "meta types that a server does not know are NOTIMP (RFC 6895 3.1), not types of data that happen to be missing"
	noSecondary = "a server that is nobody's secondary does not implement NOTIFY (RFC 8906 3.1.4)"
	noTransfers = "no zone is transferred, whichever name and transport: REFUSED (RFC 5936 2.2.1)"
)

// askAll sends each message from a socket of its own and returns summaries of the responses.
func (ref *reference) askAll(t *testing.T, messages map[string][]byte) map[string]string {
	t.Helper()
	out := map[string]string{}
	conns := map[string]net.Conn{}
	for name, msg := range messages {
		conn, err := net.Dial("udp4", ref.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns[name] = conn
		if _, err := conn.Write(msg); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second) // for all of them: that nothing comes takes as long to know for one as for a hundred
	buf := make([]byte, 65535)
	for name, conn := range conns {
		conn.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		n, err := conn.Read(buf)
		var timeout net.Error
		if err != nil && !(errors.As(err, &timeout) && timeout.Timeout()) {
			t.Fatalf("%s, %s: %v", ref.name, name, err)
		}
		out[name] = summary(buf[:n])
	}
	return out
}

// summary is what must be alike in responses to odd messages. Whether the question is echoed is free.
func summary(b []byte) string {
	if len(b) == 0 {
		return "no answer"
	}
	if len(b) < 12 {
		return fmt.Sprintf("%d bytes", len(b))
	}
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		return fmt.Sprintf("%v: %x", err, b)
	}
	out := dns.RcodeToString[m.Rcode]
	if m.Authoritative {
		out += " aa"
	}
	if m.Truncated {
		out += " tc"
	}
	if m.RecursionDesired {
		out += " rd"
	}
	if m.RecursionAvailable || m.Zero || m.AuthenticatedData {
		out += " odd flags"
	}
	if opt := m.IsEdns0(); opt != nil {
		out += fmt.Sprintf(" edns%d", opt.Version())
	}
	return fmt.Sprintf("%s opcode=%d", out, m.Opcode)
}
