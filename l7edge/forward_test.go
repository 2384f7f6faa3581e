package l7edge

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestClientOf(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for _, c := range []struct {
		peer string
		xff  []string
		want string
	}{
		{"192.0.2.1:5", nil, "192.0.2.1"},
		{"192.0.2.1:5", []string{"198.51.100.1"}, "192.0.2.1"}, // not trusted, so not believed
		{"10.0.0.1:5", nil, "10.0.0.1"},
		{"10.0.0.1:5", []string{"198.51.100.1"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"203.0.113.9, 198.51.100.1"}, "198.51.100.1"}, // what the client itself claimed comes first
		{"10.0.0.1:5", []string{"203.0.113.9", "198.51.100.1,10.0.0.2 , 10.0.0.3"}, "198.51.100.1"},
		{"10.0.0.1:5", []string{"10.0.0.4, 10.0.0.3"}, "10.0.0.4"},
		{"10.0.0.1:5", []string{"198.51.100.1, unknown, 10.0.0.3"}, "10.0.0.3"},
		{"10.0.0.1:5", []string{""}, "10.0.0.1"},
		{"[::ffff:10.0.0.1]:5", []string{"::ffff:198.51.100.1"}, "198.51.100.1"},
		{"[2001:db8::1]:5", []string{"2001:db9::1"}, "2001:db9::1"},
		{"[fe80::1%eth0]:5", nil, "fe80::1"},
		{"@", nil, "invalid IP"},
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{"X-Forwarded-For": c.xff}}
		if got := clientOf(r, trusted).String(); got != c.want {
			t.Errorf("%s for %q: %s, want %s", c.peer, c.xff, got, c.want)
		}
	}
}

func TestIntroduce(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	claimed := http.Header{
		"X-Forwarded-For": {"198.51.100.1", "203.0.113.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"www"}, "X-Forwarded-Port": {"444"},
		"Forwarded": {"for=198.51.100.1"}, "X-Real-Ip": {"198.51.100.1"}, "Via": {"1.1 cdn", "2.0 meridian"},
	}
	for _, c := range []struct {
		name, peer string
		tls        bool
		in, want   http.Header
	}{
		{"stranger without claims", "192.0.2.1:1", true, http.Header{}, http.Header{
			"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"host"}, "Via": {"2.0 meridian"}}},
		{"stranger with claims", "192.0.2.1:1", false, claimed, http.Header{
			"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"host"}, "Via": {"1.1 cdn, 2.0 meridian, 2.0 meridian"}}},
		{"trusted with claims", "10.1.1.1:1", false, claimed, http.Header{
			"X-Forwarded-For": {"198.51.100.1, 203.0.113.1, 10.1.1.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"www"},
			"X-Forwarded-Port": {"444"}, "Forwarded": {"for=198.51.100.1"}, "X-Real-Ip": {"198.51.100.1"}, "Via": {"1.1 cdn, 2.0 meridian, 2.0 meridian"}}},
		{"trusted without claims", "10.1.1.1:1", false, http.Header{}, http.Header{
			"X-Forwarded-For": {"10.1.1.1"}, "X-Forwarded-Proto": {"http"}, "X-Forwarded-Host": {"host"}, "Via": {"2.0 meridian"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := &http.Request{RemoteAddr: c.peer, Host: "host", Proto: "HTTP/2.0", Header: c.in}
			if c.tls {
				in.TLS = &tls.ConnectionState{}
			}
			out := c.in.Clone()
			for _, k := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				delete(out, k) // as the reverse proxy does
			}
			introduce(out, in, trusted)
			for k := range c.want {
				if strings.Join(out[k], "|") != strings.Join(c.want[k], "|") {
					t.Errorf("%s: %q, want %q", k, out[k], c.want[k])
				}
			}
			if len(out) != len(c.want) {
				t.Errorf("%v, want %v", out, c.want)
			}
		})
	}
}

func TestTidy(t *testing.T) {
	for _, c := range []struct {
		in    http.Header
		left  string
		count int
	}{
		{http.Header{"A": {"1", "2"}, "A_b": {"1"}, "Content_Length": {"5"}}, "A", 2},
		{http.Header{"Upgrade": {"h2c"}, "Connection": {"Upgrade"}}, "Connection", 2},
		{http.Header{"Upgrade": {"websocket", "h2c"}}, "", 2},
		{http.Header{"Upgrade": {"WebSocket"}}, "Upgrade", 1},
	} {
		in := c.in.Clone()
		n := tidy(in)
		var left []string
		for k := range in {
			left = append(left, k)
		}
		if n != c.count || strings.Join(left, ",") != c.left {
			t.Errorf("%v: %d, %v", c.in, n, left)
		}
	}
}

func TestHops(t *testing.T) {
	for _, c := range []struct {
		via  []string
		want int
	}{
		{nil, 0}, {[]string{"1.1 meridian"}, 1}, {[]string{"1.1 meridian, 1.0 x", "2.0  meridian (comment)"}, 2}, {[]string{"meridian", "1.1 meridianx", ","}, 0},
	} {
		if got := hops(strings.Join(c.via, ",")); got != c.want {
			t.Errorf("%q: %d, want %d", c.via, got, c.want)
		}
	}
}
