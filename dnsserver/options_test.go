package dnsserver

import (
	"encoding/hex"
	"net/netip"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

// option returns an option of a response, or nil.
func option[T dns.EDNS0](r *dns.Msg) (found T) {
	if o := r.IsEdns0(); o != nil {
		for _, e := range o.Option {
			if x, ok := e.(T); ok {
				return x
			}
		}
	}
	return found
}

// edeOf returns the extended error of a response, or 0.
func edeOf(r *dns.Msg) wire.EDE {
	if e := option[*dns.EDNS0_EDE](r); e != nil {
		return wire.EDE(e.InfoCode)
	}
	return 0
}

// TestExtendedErrors: which they are, and that there are none without EDNS (RFC 8914).
func TestExtendedErrors(t *testing.T) {
	a := testAnswerer(kindSnapshot(t), UDP)
	class := func(n uint16) func(*dns.Msg) { return func(m *dns.Msg) { m.Question[0].Qclass = n } }
	none := func(*dns.Msg) {}
	for _, tt := range []struct {
		name, qname string
		qtype       uint16
		edit        func(*dns.Msg)
		rcode       int
		want        wire.EDE
	}{
		{"not ours", "www.elsewhere.test", dns.TypeA, none, dns.RcodeRefused, wire.NotAuthoritative},
		{"not for this client", "host.closed.example", dns.TypeA, none, dns.RcodeRefused, wire.Prohibited},
		{"a transfer", "k.example", dns.TypeAXFR, none, dns.RcodeRefused, wire.NotSupported},
		{"a meta type", "k.example", dns.TypeMAILA, none, dns.RcodeNotImplemented, wire.NotSupported},
		{"another class", "k.example", dns.TypeA, class(dns.ClassHESIOD), dns.RcodeRefused, wire.NotSupported},
		{"CHAOS, not told", "id.server", dns.TypeTXT, class(dns.ClassCHAOS), dns.RcodeRefused, wire.NotSupported},
		{"an opcode", "k.example", dns.TypeSOA, func(m *dns.Msg) { m.Opcode = dns.OpcodeNotify }, dns.RcodeNotImplemented, wire.NotSupported},
		{"an alias to what is not known", "al.unknown.k.example", dns.TypeA, none, dns.RcodeServerFailure, wire.NoReachable},
		{"an alias into a circle", "al.self.k.example", dns.TypeA, none, dns.RcodeServerFailure, wire.NoReachable},
		{"OPT", "k.example", dns.TypeOPT, none, dns.RcodeFormatError, wire.InvalidQueryType},
		{"NXNAME", "k.example", 128, none, dns.RcodeFormatError, wire.InvalidQueryType},
		{"an answer", "eu.k.example", dns.TypeA, none, dns.RcodeSuccess, 0},
		{"NXDOMAIN", "nx.k.example", dns.TypeA, none, dns.RcodeNameError, 0},
	} {
		r := answer(t, a, query(tt.qname, tt.qtype, tt.edit, edns))
		if r.Rcode != tt.rcode || edeOf(r) != tt.want {
			t.Errorf("%s: rcode %d, EDE %d; want %d, %d", tt.name, r.Rcode, edeOf(r), tt.rcode, tt.want)
		}
		if r := answer(t, a, query(tt.qname, tt.qtype, tt.edit)); r.Rcode != tt.rcode || r.IsEdns0() != nil {
			t.Errorf("%s without EDNS: %v", tt.name, r)
		}
	}
}

// TestNSID: who asks is told, whatever the request's payload, which must not be there and is to be ignored (RFC 5001 2.1, 2.2).
func TestNSID(t *testing.T) {
	nsid := func(payload string) func(*dns.Msg) {
		return func(m *dns.Msg) {
			edns(m)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_NSID{Code: dns.EDNS0NSID, Nsid: payload})
		}
	}
	a := testAnswerer(kindSnapshot(t), UDP)
	if r := answer(t, a, query("eu.k.example", dns.TypeA, nsid(""))); option[*dns.EDNS0_NSID](r) != nil {
		t.Error("told although nothing is configured")
	}
	a.NSID = "dub1"
	for name, edit := range map[string]func(*dns.Msg){"empty": nsid(""), "with a payload": nsid("ff00"), "refused": func(m *dns.Msg) {
		nsid("")(m)
		m.Question[0].Name = "elsewhere.test."
	}} {
		got := option[*dns.EDNS0_NSID](answer(t, a, query("eu.k.example", dns.TypeA, edit)))
		if got == nil || got.Nsid != hex.EncodeToString([]byte("dub1")) {
			t.Errorf("%s: %v", name, got)
		}
	}
	if r := answer(t, a, query("eu.k.example", dns.TypeA, edns)); option[*dns.EDNS0_NSID](r) != nil {
		t.Error("told unasked")
	}
}

// TestCookieVectorA3: one whose reserved bytes are not 0 verifies, and its successor has them 0 (RFC 9018 appendix A.3). The time of the
// vector is nearly two hours after the cookie's, which is too late for it (4.3), but its successor is made all the same.
func TestCookieVectorA3(t *testing.T) {
	const sent, want = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5", "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e"
	a := testAnswerer(kindSnapshot(t), UDP)
	a.Cookies = CookieConfig{Secrets: [][16]byte{secret(t, "e5e973e5a6b2a43f48e7dc849e37bfcf")}}
	from := netip.MustParseAddrPort("203.0.113.203:53")
	for now, valid := range map[int64]bool{1559734700: false, 1559727985: true} {
		a.Now = func() int64 { return now }
		r := answerFrom(t, a, query("eu.k.example", dns.TypeA, cookie(sent)), from)
		if got := cookieOf(r); a.cookieValid != valid || valid != (got == sent) || !valid && got != want {
			t.Errorf("at %d: valid %v, %s", now, a.cookieValid, got)
		}
	}
}
