package wire

import (
	"bytes"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

func withoutQuestion(m *dns.Msg) *dns.Msg {
	m.Question = nil
	return m
}

// TestParseCookie: lengths 8 and 16 to 40, the first of several, and nothing asked but a cookie (RFC 7873 4, 5.2, 5.4).
func TestParseCookie(t *testing.T) {
	var q Query
	for size := range 50 {
		data := strings.Repeat("c", size)
		want := Malformed
		if size == 8 || size >= 16 && size <= 40 {
			want = Good
		}
		if out := Parse(pack(t, withOPT(question("x.", dns.TypeA), raw(10, data))), &q); out != want {
			t.Errorf("%d bytes: outcome %d, want %d", size, out, want)
		}
		if want == Good && string(q.Cookie) != data || want != Good && q.Cookie != nil {
			t.Errorf("%d bytes: cookie %q", size, q.Cookie)
		}
	}
	two := withOPT(question("x.", dns.TypeA), raw(10, "12345678"), raw(10, "abcdefgh"))
	if out := Parse(pack(t, two), &q); out != Good || string(q.Cookie) != "12345678" {
		t.Errorf("two cookies: outcome %d, cookie %q", out, q.Cookie)
	}
	none := pack(t, withoutQuestion(withOPT(question("x.", dns.TypeA), raw(10, "12345678"))))
	if out := Parse(none, &q); out != Good || q.Name != nil || q.question != nil || string(q.Cookie) != "12345678" {
		t.Errorf("no question: outcome %d, %v, cookie %q", out, q.Name, q.Cookie)
	}
	for name, m := range map[string]*dns.Msg{
		"without cookie": withoutQuestion(withOPT(question("x.", dns.TypeA), raw(3, ""))),
		"without EDNS":   withoutQuestion(question("x.", dns.TypeA)),
	} {
		if out := Parse(pack(t, m), &q); out != Malformed || q.Name != nil {
			t.Errorf("no question, %s: outcome %d", name, out)
		}
	}
	version := withoutQuestion(withOPT(question("x.", dns.TypeA)))
	version.IsEdns0().SetVersion(1)
	if out := Parse(pack(t, version), &q); out != BadVersion {
		t.Errorf("no question, version 1: outcome %d", out)
	}
}

// TestParseRequests: NSID and keepalive are asked for by options that should be empty (RFC 5001 2.1, 2.2, 7828 3.2.1).
func TestParseRequests(t *testing.T) {
	var q Query
	for _, tt := range []struct {
		name                  string
		options               []dns.EDNS0
		nsid, keepalive, fail bool
	}{
		{"nothing", nil, false, false, false},
		{"NSID", []dns.EDNS0{raw(3, "")}, true, false, false},
		{"NSID with a payload, which is ignored", []dns.EDNS0{raw(3, "me")}, true, false, false},
		{"keepalive", []dns.EDNS0{raw(11, "")}, false, true, false},
		{"keepalive with a time", []dns.EDNS0{raw(11, "\x00\x64")}, false, false, true},
		{"both, twice", []dns.EDNS0{raw(3, ""), raw(11, ""), raw(3, ""), raw(11, "")}, true, true, false},
	} {
		out := Parse(pack(t, withOPT(question("x.", dns.TypeA), tt.options...)), &q)
		if out != Good || q.NSID != tt.nsid || q.Keepalive != tt.keepalive || q.BadKeepalive != tt.fail {
			t.Errorf("%s: outcome %d, NSID %v, keepalive %v, bad %v", tt.name, out, q.NSID, q.Keepalive, q.BadKeepalive)
		}
	}
	if Parse(pack(t, question("x.", dns.TypeA)), &q); q.NSID || q.Keepalive || q.BadKeepalive || q.Cookie != nil {
		t.Error("options of an earlier query stay")
	}
}

// optionsOf returns the options of a response by code, and fails if there is one twice.
func optionsOf(t *testing.T, msg []byte) map[uint16]string {
	t.Helper()
	m := unpack(t, msg)
	out := map[uint16]string{}
	opt := m.IsEdns0()
	if opt == nil {
		return out
	}
	for at := bytes.LastIndex(msg, []byte{0, 0, 41}) + 11; at < len(msg); {
		code, size := uint16(msg[at])<<8|uint16(msg[at+1]), int(msg[at+2])<<8|int(msg[at+3])
		if _, dup := out[code]; dup {
			t.Fatalf("option %d twice", code)
		}
		out[code] = string(msg[at+4 : at+4+size])
		at += 4 + size
	}
	return out
}

// TestBuilderOptions: each option is there if it was asked for, and what needs an answer has its room set aside.
func TestBuilderOptions(t *testing.T) {
	server := [ServerCookieLen]byte{1, 2, 3, 15: 9}
	all := []dns.EDNS0{raw(8, "\x00\x01\x18\x00\xc0\x00\x02"), raw(10, "12345678previous"), raw(3, ""), raw(11, "")}
	build := func(q *Query, limit int, fill bool) []byte {
		var b Builder
		b.Reset(nil, q, limit)
		b.SetCookie(&server)
		b.SetNSID("dub1")
		if q.Keepalive {
			b.SetKeepalive(120)
		}
		b.SetError(Prohibited, "by the zone")
		for fill && b.AddOptional(Additional, q.Name, &RRset{Type: TypeTXT, RData: [][]byte{{1, 'x'}}}) {
		}
		return b.Finish(1232, 20)
	}
	got := optionsOf(t, build(parsed(t, withOPT(question("x.", dns.TypeA), all...)), 512, false))
	want := map[uint16]string{8: "\x00\x01\x18\x14\xc0\x00\x02", 10: "12345678" + string(server[:]), 3: "dub1", 11: "\x00\x78", 15: "\x00\x12by the zone"}
	if len(got) != len(want) {
		t.Errorf("options %v", got)
	}
	for code, data := range want {
		if got[code] != data {
			t.Errorf("option %d is %q, want %q", code, got[code], data)
		}
	}
	if got := optionsOf(t, build(parsed(t, question("x.", dns.TypeA)), 512, false)); len(got) != 0 {
		t.Errorf("without EDNS: %v", got)
	}
	if got := optionsOf(t, build(parsed(t, withOPT(question("x.", dns.TypeA))), 512, false)); len(got) != 1 || got[15] == "" {
		t.Errorf("without options: %v", got)
	}
	for limit := 512; limit < 560; limit++ {
		msg := build(parsed(t, withOPT(question("x.", dns.TypeA), all...)), limit, true)
		if got := optionsOf(t, msg); len(msg) > limit || got[10] == "" || got[3] == "" || got[11] == "" || got[8] == "" {
			t.Errorf("limit %d: %d bytes, options %v", limit, len(msg), got)
		}
	}
}

// TestBuilderErrorRoom: an extended error takes what is left, its text before itself.
func TestBuilderErrorRoom(t *testing.T) {
	q := parsed(t, withOPT(question("x.", dns.TypeA)))
	const head = 12 + 7 + 11
	for _, tt := range []struct {
		room int
		want string
	}{{0, ""}, {5, ""}, {6, "\x00\x14"}, {9, "\x00\x14"}, {10, "\x00\x14text"}, {99, "\x00\x14text"}} {
		var b Builder
		b.Reset(nil, q, 512)
		fill := make([]byte, 512-head-tt.room-12)
		if !b.Add(Answer, q.Name, &RRset{Type: 65280, RData: [][]byte{fill}}) {
			t.Fatal("no room for the record")
		}
		b.SetError(NotAuthoritative, "text")
		msg := b.Finish(1232, 0)
		if got := optionsOf(t, msg)[15]; got != tt.want || len(msg) > 512 {
			t.Errorf("room for %d: %q in %d bytes", tt.room, got, len(msg))
		}
	}
}

// TestBuilderNSIDRoom: an identifier that does not fit is left out.
func TestBuilderNSIDRoom(t *testing.T) {
	var b Builder
	b.Reset(nil, parsed(t, withOPT(question("x.", dns.TypeA), raw(3, ""))), 512)
	b.SetNSID(strings.Repeat("n", 500))
	if msg := b.Finish(1232, 0); len(msg) > 512 || len(optionsOf(t, msg)) != 0 {
		t.Errorf("%d bytes", len(msg))
	}
}

// TestAppendName: what AppendName adds is what ParseName returns; without room to find and with an error dst stays.
func TestAppendName(t *testing.T) {
	buf := make([]byte, 0, 300)
	for _, s := range []string{".", "example", "WWW.example.", `a\.b.x`, `\255.x`, "", "a..b", `a\`, "ü", strings.Repeat("a", 64), strings.Repeat("a.", 128)} {
		want, wantErr := ParseName(s)
		got, err := AppendName(append(buf, "before"...), s)
		if err != wantErr || string(got) != "before"+string(want) {
			t.Errorf("%q: %q, %v; want %q, %v", s, got, err, want, wantErr)
		}
	}
	if n := testing.AllocsPerRun(100, func() { AppendName(buf, "www.gslb.example.") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
