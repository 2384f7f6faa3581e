package probes

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/meridian-gslb/meridian/probes/check"
)

func TestCheckDefaults(t *testing.T) {
	for _, tc := range []struct{ in, want Check }{
		{Check{Kind: HTTP}, Check{Kind: HTTP, Method: "GET", Path: "/", Status: "200-399",
			Interval: 5 * time.Second, Timeout: 2 * time.Second, Rise: 2, Fall: 3}},
		{Check{Kind: TCP}, Check{Kind: TCP, Interval: 5 * time.Second, Timeout: 2 * time.Second, Rise: 2, Fall: 3}},
		{Check{Kind: TCP, Interval: time.Second}, Check{Kind: TCP, Interval: time.Second, Timeout: time.Second, Rise: 2, Fall: 3}},
		{Check{Kind: HTTPS, Method: "HEAD", Path: "/x", Status: "204", Interval: time.Minute, Timeout: time.Second, Rise: 1, Fall: 1},
			Check{Kind: HTTPS, Method: "HEAD", Path: "/x", Status: "204", Interval: time.Minute, Timeout: time.Second, Rise: 1, Fall: 1}},
	} {
		got := tc.in.WithDefaults()
		if got != tc.want {
			t.Errorf("%+v:\n got %+v\nwant %+v", tc.in, got, tc.want)
		}
		if again := got.WithDefaults(); again != got {
			t.Errorf("defaults of %+v change when applied twice", got)
		}
		if ps := got.Problems(); len(ps) != 0 {
			t.Errorf("the defaults of %+v are refused: %v", tc.in, ps)
		}
	}
}

func TestCheckProblems(t *testing.T) {
	for _, tc := range []struct {
		check Check
		want  []string // "key: beginning of the message"
	}{
		{Check{Kind: HTTP, Path: "/healthz?full=1", Host: "[2001:db8::1]:8080", Match: "ok"}, nil},
		{Check{Kind: HTTPS, ServerName: "a.example", Insecure: true}, nil},
		{Check{}, []string{`: unknown kind of probe ""; it is one of http, https, tcp, grpc, grpcs, tls, dns, icmp, exec`}},
		{Check{Kind: "ftp"}, []string{`: unknown kind of probe "ftp"`}},
		{Check{Kind: GRPC, Service: "pay", Host: "pay.example"}, nil},
		{Check{Kind: GRPCS, ServerName: "pay.example"}, nil},
		{Check{Kind: GRPC, Insecure: true, Path: "/"}, []string{"insecure: this setting needs a probe of kind https, grpcs or tls; this one is of kind grpc"}},
		{Check{Kind: TLS, Expiry: time.Hour, Port: 993}, nil},
		{Check{Kind: TLS, ServerName: "a b"}, []string{"tls: host or server_name is not a host name"}},
		{Check{Kind: DNS, Name: "www.example", Match: "192.0.2.1"}, nil},
		{Check{Kind: DNS}, []string{`dns: "" is not a name`}},
		{Check{Kind: ICMP, Port: 7}, []string{"port: this setting needs a probe of kind other than icmp"}},
		{Check{Kind: Exec, Command: "true", User: "nobody"}, []string{"exec: the command does not begin with the whole path"}},
		{Check{Kind: Exec, Command: List("/bin/true", "x"), User: "none-such"}, []string{`exec: there is no user "none-such"`}},
		{Check{Kind: TCP, Send: "PING", Expect: "PONG"}, nil},
		{Check{Kind: TCP, Expect: strings.Repeat("x", 5121)}, []string{"expect: the text is longer than the 5120 bytes"}},
		{Check{Kind: HTTP, Send: "x", HTTP2: true, Headers: List("X-Key: a", "X-Key: b")}, []string{"send: this setting needs a probe of kind tcp"}},
		{Check{Kind: HTTP, Headers: "Bad Name: x"}, []string{`headers: "Bad Name: x" is no header field`}},
		{Check{Kind: HTTP, Headers: "transfer-encoding: chunked"}, []string{"headers: the field Transfer-Encoding is not for a check to set"}},
		{Check{Kind: TCP, Interval: 50 * time.Millisecond}, []string{"every: an interval of 50ms is out of range; it is 100ms to 1h0m0s"}},
		{Check{Kind: TCP, Interval: 2 * time.Hour}, []string{"every: an interval of 2h0m0s is out of range"}},
		{Check{Kind: TCP, Interval: time.Second, Timeout: 2 * time.Second}, []string{"timeout: a timeout of 2s is longer than the interval of 1s"}},
		{Check{Kind: TCP, Timeout: time.Millisecond}, []string{"timeout: a timeout of 1ms is out of range; it is at least 10ms"}},
		{Check{Kind: TCP, Timeout: -1}, []string{"timeout: "}},
		{Check{Kind: TCP, Rise: -1, Fall: 101}, []string{"rise: -1 is out of range; it is 1 to 100", "fall: 101 is out of range"}},
		{Check{Kind: HTTP, Method: "POST"}, []string{`method: method "POST" is not one of GET, HEAD, OPTIONS`}},
		{Check{Kind: HTTP, Path: "healthz"}, []string{`http: path "healthz" does not begin with /`}},
		{Check{Kind: HTTPS, Path: "/a b"}, []string{`https: path "/a b" contains a blank or control character`}},
		{Check{Kind: HTTP, Path: "/\r\nX: y"}, []string{"http: path"}},
		{Check{Kind: HTTP, Host: "a\r\nX: y"}, []string{"host: "}},
		{Check{Kind: HTTP, Host: "a/b"}, []string{`host: "a/b" is not a host name`}},
		{Check{Kind: HTTPS, ServerName: "a b"}, []string{`server_name: "a b" is not a host name`}},
		{Check{Kind: HTTP, Status: "2xx"}, []string{`status: "2xx" is not a status code`}},
		{Check{Kind: HTTP, Match: strings.Repeat("x", 5121)}, []string{"match: the text is longer than the 5120 bytes"}},
		{Check{Kind: HTTP, Method: "HEAD", Match: "x"}, []string{"match: a response to HEAD has no body to match"}},
		{Check{Kind: HTTP, Insecure: true}, []string{"http: settings of TLS need a probe of kind https"}},
		{Check{Kind: TCP, Path: "/"}, []string{"tcp: a tcp probe only connects"}},
		{Check{Kind: TCP, Insecure: true}, []string{"tcp: settings of TLS need a probe of kind https"}},
	} {
		var got []string
		for _, p := range tc.check.Problems() {
			got = append(got, strings.Join(p.Path, ".")+": "+p.Msg)
		}
		if len(got) != len(tc.want) {
			t.Errorf("%+v: got %q, want %q", tc.check, got, tc.want)
			continue
		}
		for i, want := range tc.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%+v: got %q, want %q", tc.check, got[i], want)
			}
		}
	}
}

// TestUpdateSurvivesAnyCheck hands over what Problems would have refused.
func TestUpdateSurvivesAnyCheck(t *testing.T) {
	p := New(Options{Sink: &recorder{}})
	for _, c := range []Check{{}, {Interval: -1}, {Interval: 1000 * time.Hour}, {Timeout: time.Hour}, {Timeout: -1}, {Rise: -5, Fall: 1 << 40}} {
		p.Update([]Target{{Endpoint: "a/b", Check: c}})
		s := p.Status()[0].Check
		if s.Interval < MinInterval || s.Interval > MaxInterval || s.Timeout < MinTimeout || s.Timeout > s.Interval ||
			s.Rise < 1 || s.Rise > MaxThreshold || s.Fall < 1 || s.Fall > MaxThreshold {
			t.Errorf("%+v became %+v", c, s)
		}
	}
}

func TestAddrPort(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	for _, tc := range []struct {
		kind            Kind
		endpoint, check uint16
		want            uint16
	}{
		{HTTP, 0, 0, 80}, {HTTPS, 0, 0, 443}, {TCP, 0, 0, 0},
		{HTTP, 8080, 0, 8080}, {TCP, 5432, 0, 5432},
		{HTTPS, 8080, 9000, 9000}, {TCP, 0, 25, 25},
	} {
		got := Target{Addr: addr, Port: tc.endpoint, Check: Check{Kind: tc.kind, Port: tc.check}}.Where()
		if got != netip.AddrPortFrom(addr, tc.want) {
			t.Errorf("%s, endpoint %d, check %d: got %s, want port %d", tc.kind, tc.endpoint, tc.check, got, tc.want)
		}
	}
}

func TestTargetThatCannotBeChecked(t *testing.T) {
	public, loopback := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("127.0.0.1")
	for _, tc := range []struct {
		target Target
		want   string
	}{
		{Target{Addr: public, Check: Check{Kind: TCP}}, "no port to check: neither the endpoint nor its probe has one"},
		{Target{Addr: public, Port: 1, Check: Check{Kind: "smtp"}}, `unknown kind of probe "smtp"`},
		{Target{Addr: public, Check: Check{Kind: HTTP, Status: "x"}}, `"x" is not a status code of a final response (200-599)`},
		{Target{Addr: public, Check: Check{Kind: HTTP, Path: "x"}}, `path "x" is not an absolute path`},
		{Target{Port: 1, Check: Check{Kind: TCP}}, "no address to check"},
		{Target{Addr: loopback, Port: 1, Check: Check{Kind: TCP}}, "checks of loopback address 127.0.0.1 are not allowed"},
		{Target{Addr: netip.MustParseAddr("169.254.169.254"), Check: Check{Kind: HTTP, AllowLoopback: true}},
			"checks of link-local address 169.254.169.254 are not allowed"},
	} {
		err := newChecker(tc.target).Check(t.Context())
		if err == nil || err.Error() != tc.want {
			t.Errorf("%+v: got %v, want %q", tc.target, err, tc.want)
		}
		if inconclusive(err) || check.Timeout(err) {
			t.Errorf("%v must take the endpoint down", err)
		}
	}
}
