package outside

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

func TestRead(t *testing.T) {
	chain := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf("c%d.example. 60 CNAME c%d.example.", i, i+1))
		}
		list[0] = "cdn.example. 60 CNAME c1.example."
		return append(list, fmt.Sprintf("c%d.example. 60 A 192.0.2.1", n))
	}
	many := func(n int) (list []string) {
		for i := n; i > 0; i-- {
			list = append(list, fmt.Sprintf("cdn.example. 60 A 192.0.2.%d", i))
		}
		return list
	}
	for _, c := range []struct {
		name    string
		records []string
		want    string // TTL found and addresses, or a part of the error
	}{
		{"address", []string{"cdn.example. 17 A 192.0.2.1"}, "17: 10 192.0.2.1"},
		{"order and repetition", []string{"cdn.example. 60 A 192.0.2.2", "cdn.example. 60 A 192.0.2.1", "cdn.example. 60 A 192.0.2.2"}, "60: 60 192.0.2.1 192.0.2.2"},
		{"least TTL of the set", []string{"cdn.example. 60 A 192.0.2.2", "cdn.example. 9 A 192.0.2.1"}, "9: 5 192.0.2.1 192.0.2.2"},
		{"TTL of a day", []string{"cdn.example. 86400 A 192.0.2.1"}, "86400: 60 192.0.2.1"},
		{"TTL 0", []string{"cdn.example. 0 A 192.0.2.1"}, "0: 1 192.0.2.1"},
		{"TTL of 32 bits", []string{"cdn.example. 2147483648 A 192.0.2.1"}, "0: 1 192.0.2.1"},
		{"another type", []string{"cdn.example. 60 AAAA 2001:db8::1"}, "30: none"},
		{"another owner", []string{"x.example. 60 A 192.0.2.1"}, "30: none"},
		{"another class", []string{"cdn.example. 60 CH A 192.0.2.1"}, "30: none"},
		{"private addresses are passed on", []string{"cdn.example. 60 A 10.0.0.1"}, "60: 60 10.0.0.1"},
		{"chain in any case and order", []string{"b.Example. 60 A 192.0.2.1", "CDN.example. 7 CNAME B.example."}, "7: 5 192.0.2.1"},
		{"chain to nothing", []string{"cdn.example. 7 CNAME b.example.", "soa example. 50 SOA a. b. 1 1 1 1 50"}, "7: none"},
		{"longest chain", chain(maxLinks), "60: 60 192.0.2.1"},
		{"chain too long", chain(maxLinks + 1), "CNAMEs in a row"},
		{"circle", []string{"cdn.example. 60 CNAME b.example.", "b.example. 60 CNAME cdn.example."}, "CNAMEs in a row"},
		{"NODATA", []string{"NODATA", "soa example. 300 SOA a. b. 1 1 1 1 900"}, "300: none"},
		{"NODATA by the SOA's minimum", []string{"NODATA", "soa example. 300 SOA a. b. 1 1 1 1 90"}, "90: none"},
		{"NODATA without an SOA", []string{"NODATA"}, "30: none"},
		{"NXDOMAIN", nil, "30: none"},
		{"many addresses", many(MaxAddresses + 5), "60: 60" + addresses(MaxAddresses)},
	} {
		m := response(t, new(dns.Msg).SetQuestion("cdn.example.", dns.TypeA), c.records...)
		if got := describe(read(m, name(t, "cdn.example."), wire.TypeA, nil)); got != c.want && (!strings.Contains(got, "error") || !strings.Contains(got, c.want)) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func describe(f found, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	return fmt.Sprintf("%d: %s", f.ttl, show(f.set(wire.TypeA), true))
}

func addresses(n int) (s string) {
	for i := 1; i <= n; i++ {
		s += fmt.Sprintf(" 192.0.2.%d", i)
	}
	return s
}

// TestReadRefuses: what is no answer of a server that resolves is a failure, so that the next one is asked.
func TestReadRefuses(t *testing.T) {
	q := new(dns.Msg).SetQuestion("cdn.example.", dns.TypeA)
	for _, code := range []int{dns.RcodeServerFailure, dns.RcodeRefused, dns.RcodeFormatError, dns.RcodeNotImplemented, 4000} {
		m := response(t, q, "cdn.example. 60 A 192.0.2.1")
		m.Rcode = code
		if got := describe(read(m, name(t, "cdn.example."), wire.TypeA, nil)); !strings.Contains(got, "error: answers ") {
			t.Errorf("code %d: %s", code, got)
		}
	}
	m := response(t, q, "NODATA")
	m.RecursionAvailable = false
	m.Ns = append(m.Ns, record(t, "example. 60 NS ns.example."))
	if got := describe(read(m, name(t, "cdn.example."), wire.TypeA, nil)); !strings.Contains(got, "referral") {
		t.Errorf("referral: %s", got)
	}
}
