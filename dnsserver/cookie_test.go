package dnsserver

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/miekg/dns"
)

// cookie adds a cookie option, written in hex.
func cookie(text string) func(*dns.Msg) {
	return func(m *dns.Msg) {
		edns(m)
		m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: text})
	}
}

// cookieOf returns the cookie of a response in hex, or "".
func cookieOf(r *dns.Msg) string {
	if o := r.IsEdns0(); o != nil {
		for _, e := range o.Option {
			if c, ok := e.(*dns.EDNS0_COOKIE); ok {
				return c.Cookie
			}
		}
	}
	return ""
}

func secret(t *testing.T, text string) (s [16]byte) {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil || copy(s[:], b) != 16 {
		t.Fatal("no secret")
	}
	return s
}

// TestCookieVectors are those of RFC 9018 appendix A, and what a cookie's age makes of it.
func TestCookieVectors(t *testing.T) {
	const a, old, young = "e5e973e5a6b2a43f48e7dc849e37bfcf", "dd3bdf9344b678b185a6f5cb60fca715", "445536bcd2513298075a5d379663c962"
	const given = "2464c4abcf10c957010000005cf79f111f8130c3eee29480"
	for _, tt := range []struct {
		name, from, sent string
		now              int64
		secrets          []string
		want             string
		valid            bool
	}{
		{"A.1: learning", "198.51.100.100", "2464c4abcf10c957", 1559731985, []string{a}, given, false},
		{"A.2: renewing after 40 minutes", "198.51.100.100", given, 1559734385, []string{a}, "2464c4abcf10c957010000005cf7a871d4a564a1442aca77", true},
		{"A.4: another secret", "2001:db8:220:1:59de:d0f4:8769:82b8", "22681ab97d52c298010000005cf7c57926556bd0934c72f8", 1559741961,
			[]string{young, old}, "22681ab97d52c298010000005cf7c609a6bb79d16625507a", true},
		{"young enough to stay", "198.51.100.100", given, 1559731985 + 1800, []string{a}, given, true},
		{"from the near future", "198.51.100.100", given, 1559731985 - 300, []string{a}, given, true},
	} {
		ans := testAnswerer(testSnapshot(t, nil), UDP)
		ans.Now = func() int64 { return tt.now }
		ans.Cookies = CookieConfig{Require: true}
		for _, s := range tt.secrets {
			ans.Cookies.Secrets = append(ans.Cookies.Secrets, secret(t, s))
		}
		r := answerFrom(t, ans, query("mail.gslb.example", dns.TypeA, cookie(tt.sent)), netip.AddrPortFrom(netip.MustParseAddr(tt.from), 53))
		if got := cookieOf(r); got != tt.want || ans.cookieValid != tt.valid || (r.Rcode == dns.RcodeBadCookie) == tt.valid {
			t.Errorf("%s: %s, valid %v, rcode %d; want %s", tt.name, got, ans.cookieValid, r.Rcode, tt.want)
		}
	}
	for name, try := range map[string]struct {
		now  int64
		from string
	}{"too old": {1559731985 + 3601, "198.51.100.100"}, "too far ahead": {1559731985 - 301, "198.51.100.100"}, "of another": {1559731985, "198.51.100.101"}} {
		ans := testAnswerer(testSnapshot(t, nil), UDP)
		ans.Now = func() int64 { return try.now }
		ans.Cookies = CookieConfig{Secrets: [][16]byte{secret(t, a)}}
		r := answerFrom(t, ans, query("mail.gslb.example", dns.TypeA, cookie(given)), netip.AddrPortFrom(netip.MustParseAddr(try.from), 53))
		if ans.cookieValid || cookieOf(r) == given || len(r.Answer) != 1 {
			t.Errorf("%s: valid %v, %s", name, ans.cookieValid, cookieOf(r))
		}
	}
}

// TestCookieOnly: a query without a question asks for a cookie (RFC 7873 5.4).
func TestCookieOnly(t *testing.T) {
	ans := testAnswerer(testSnapshot(t, nil), UDP)
	none := func(m *dns.Msg) { m.Question = nil }
	r := answer(t, ans, query("x.", dns.TypeA, cookie("2464c4abcf10c957"), none))
	good := cookieOf(r)
	if r.Rcode != 0 || len(good) != 48 || len(r.Answer) != 0 {
		t.Errorf("learning: %v", r)
	}
	if r := answer(t, ans, query("x.", dns.TypeA, cookie(good), none)); r.Rcode != 0 || cookieOf(r) != good {
		t.Errorf("a good one: %v", r)
	}
	if r := answer(t, ans, query("x.", dns.TypeA, cookie("2464c4abcf10c957010000005cf79f111f8130c3eee29480"), none)); r.Rcode != dns.RcodeBadCookie {
		t.Errorf("a bad one: %v", r)
	}
}

// TestChaos: what the configuration tells of the server, and nothing else (RFC 4892).
func TestChaos(t *testing.T) {
	ans := testAnswerer(testSnapshot(t, nil), UDP)
	ans.Version, ans.NSID = "9", "dub1"
	class := func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS }
	if r := answer(t, ans, query("Version.Bind", dns.TypeTXT, class)); r.Rcode != 0 || len(r.Answer) != 1 ||
		r.Answer[0].Header().Class != dns.ClassCHAOS || r.Answer[0].(*dns.TXT).Txt[0] != "9" {
		t.Errorf("%v", r)
	}
	if r := answer(t, ans, query("id.server", dns.TypeTXT, class)); r.Rcode != dns.RcodeRefused {
		t.Errorf("%v", r)
	}
}
