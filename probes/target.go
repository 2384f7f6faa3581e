package probes

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes/check"
	"github.com/meridian-gslb/meridian/probes/quorum"
)

// A Kind is what a check does.
type Kind string

// The kinds of checks.
const (
	HTTP  Kind = "http"
	HTTPS Kind = "https"
	TCP   Kind = "tcp"
	GRPC  Kind = "grpc"
	GRPCS Kind = "grpcs" // over TLS
	TLS   Kind = "tls"
	DNS   Kind = "dns"
	ICMP  Kind = "icmp"
	Exec  Kind = "exec"
)

// separator stands between the words of a Check's lists, which are texts so that == compares them.
const separator = "\x00"

// List makes one text of words, for Headers and Command.
func List(words ...string) string { return strings.Join(words, separator) }

// Defaults and limits of a Check.
const (
	DefaultInterval = 5 * time.Second
	DefaultTimeout  = 2 * time.Second // or the interval, if that is shorter
	DefaultRise     = 2
	DefaultFall     = 3

	MinInterval  = 100 * time.Millisecond
	MaxInterval  = time.Hour
	MinTimeout   = 10 * time.Millisecond
	MaxThreshold = 100 // of rise and fall
)

// A Check says how the endpoints of a service are checked. The zero values of all fields but Kind stand for the defaults. A
// Check is a value that == compares; a new one takes effect with the next Update.
type Check struct {
	Kind Kind

	Port   uint16 // default: the endpoint's port; without one 80 (http), 443 (https, grpcs, tls) or 53 (dns)
	Method string // GET (default), HEAD or OPTIONS: a check must not change anything
	Path   string // path and query; default "/"
	Host   string // Host header field, and for https the name in the certificate; default: the address
	Status string // codes that mean success, e.g. "200-399,401" (see check.ParseStatus); default "200-399"
	Match  string // text that the first 5120 bytes of the body must contain; default: the body is not read. dns: text in one of the records

	Headers string // http, https: more header fields, a List of "Name: value"
	HTTP2   bool   // http, https: speak HTTP/2

	ServerName string // https, grpcs, tls: SNI and name in the certificate, if it is not Host
	Insecure   bool   // https, grpcs, tls: accept any certificate

	Service      string        // grpc, grpcs: whose health is asked for; default: the server's
	Send, Expect string        // tcp: what is sent; what must come in the first 5120 bytes. Default: nothing
	Expiry       time.Duration // tls: for how long the certificate must be valid; default: now
	Name, Type   string        // dns: the question; Type defaults to "A"
	Command      string        // exec: a List of the program's whole path and its arguments
	User         string        // exec: who it runs as; default: as this process, which must not be root then

	Interval time.Duration // between the starts of two checks of one endpoint, 100ms to 1h; default 5s
	Timeout  time.Duration // of a whole check, at least 10ms, at most Interval; default 2s
	Rise     int           // successes in a row that bring an endpoint up, 1 to 100; default 2
	Fall     int           // failures in a row that take it down, 1 to 100; default 3

	Rule quorum.Rule   // whose votes decide, where other probers share what they see; default: the majority
	Hold time.Duration // the first hold-down after changes in a row, up to 10m; default: Interval times the larger of Rise and Fall; negative: none

	// Permission to check addresses that lead into this machine or its neighbours: a registry that may name any address must
	// not turn the prober into a way in. An endpoint with such an address and no permission is down.
	AllowLoopback  bool
	AllowLinkLocal bool
}

// WithDefaults returns c with the default in every field that is zero. Port stays 0 where the endpoint's port decides.
func (c Check) WithDefaults() Check {
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Timeout == 0 {
		c.Timeout = min(DefaultTimeout, c.Interval)
	}
	if c.Rise == 0 {
		c.Rise = DefaultRise
	}
	if c.Fall == 0 {
		c.Fall = DefaultFall
	}
	if c.Kind == HTTP || c.Kind == HTTPS {
		if c.Method == "" {
			c.Method = http.MethodGet
		}
		if c.Path == "" {
			c.Path = "/"
		}
		if c.Status == "" {
			c.Status = check.DefaultStatus
		}
	}
	return c
}

// inRange returns c with the numbers that the schedule and the tracker rely on brought into range.
func (c Check) inRange() Check {
	c.Interval = min(max(c.Interval, MinInterval), MaxInterval)
	c.Timeout = min(max(c.Timeout, MinTimeout), c.Interval)
	c.Rise = min(max(c.Rise, 1), MaxThreshold)
	c.Fall = min(max(c.Fall, 1), MaxThreshold)
	return c
}

// Problems returns everything wrong with c, in the terms of a probe in the configuration file: Path is e.g. {"timeout"}.
func (c Check) Problems() []policy.Problem {
	c = c.WithDefaults()
	var ps problems
	switch c.Kind {
	case HTTP, HTTPS:
		c.httpProblems(&ps)
	case TCP:
		c.tcpProblems(&ps)
	case GRPC, GRPCS, TLS, DNS, ICMP, Exec:
	default:
		ps.add("", "unknown kind of probe %q; it is one of %s", c.Kind, strings.Join(kinds(), ", "))
		return ps
	}
	c.strayProblems(&ps)
	if c.Interval < MinInterval || c.Interval > MaxInterval {
		ps.add("every", "an interval of %s is out of range; it is %s to %s", c.Interval, MinInterval, MaxInterval)
	}
	if c.Timeout < MinTimeout {
		ps.add("timeout", "a timeout of %s is out of range; it is at least %s", c.Timeout, MinTimeout)
	} else if c.Timeout > c.Interval {
		ps.add("timeout", "a timeout of %s is longer than the interval of %s", c.Timeout, c.Interval)
	}
	if c.Rise < 1 || c.Rise > MaxThreshold {
		ps.add("rise", "%d is out of range; it is 1 to %d", c.Rise, MaxThreshold)
	}
	if c.Fall < 1 || c.Fall > MaxThreshold {
		ps.add("fall", "%d is out of range; it is 1 to %d", c.Fall, MaxThreshold)
	}
	if msg := c.Rule.Problem(); msg != "" {
		ps.add("rule", "%s", msg)
	}
	if c.Hold > quorum.MaxHold {
		ps.add("hold", "a hold-down of %s is out of range; it is at most %s", c.Hold, quorum.MaxHold)
	}
	return ps
}

// kinds lists the kinds of checks.
func kinds() []string {
	var out []string
	for _, k := range [...]Kind{HTTP, HTTPS, TCP, GRPC, GRPCS, TLS, DNS, ICMP, Exec} {
		out = append(out, string(k))
	}
	return out
}

// strayProblems reports settings that are for other kinds of checks, and what is wrong with those of the kinds that have no rules of
// their own. Those of http and tcp that exclude each other are reported with them.
func (c Check) strayProblems(ps *problems) {
	web := c.Kind == HTTP || c.Kind == HTTPS
	secure := c.Kind == HTTPS || c.Kind == GRPCS || c.Kind == TLS
	for _, s := range [...]struct {
		key   string
		set   bool
		right bool
		kinds string
	}{
		{"method", c.Method != "", web || c.Kind == TCP, "http or https"},
		{"status", c.Status != "", web || c.Kind == TCP, "http or https"},
		{"host", c.Host != "", web || c.Kind == TCP || c.Kind == GRPC || c.Kind == GRPCS, "http, https, grpc or grpcs"},
		{"match", c.Match != "", web || c.Kind == TCP || c.Kind == DNS, "http, https or dns"},
		{"headers", c.Headers != "", web, "http or https"},
		{"http2", c.HTTP2, web, "http or https"},
		{"server_name", c.ServerName != "", web || c.Kind == TCP || secure, "https, grpcs or tls"},
		{"insecure", c.Insecure, web || c.Kind == TCP || secure, "https, grpcs or tls"},
		{"send", c.Send != "", c.Kind == TCP, "tcp"},
		{"expect", c.Expect != "", c.Kind == TCP, "tcp"},
		{"expiry", c.Expiry != 0, c.Kind == TLS, "tls"},
		{"type", c.Type != "", c.Kind == DNS, "dns"},
		{"user", c.User != "", c.Kind == Exec, "exec"},
		{"port", c.Port != 0, c.Kind != ICMP, "other than icmp"},
	} {
		if s.set && !s.right {
			ps.add(s.key, "this setting needs a probe of kind %s; this one is of kind %s", s.kinds, c.Kind)
		}
	}
	if !web && c.Kind != TCP && (strings.ContainsFunc(c.Host, notInHost) || strings.ContainsFunc(c.ServerName, notInHost)) {
		ps.add(string(c.Kind), "host or server_name is not a host name")
	}
	if len(c.Expect) > check.MaxMatch {
		ps.add("expect", "the text is longer than the %d bytes that are read", check.MaxMatch)
	}
	var err error
	switch c.Kind {
	case DNS:
		_, err = check.NewDNS(check.DNSConfig{Name: c.Name, Type: c.Type})
	case Exec:
		_, err = check.NewExec(check.ExecConfig{Command: strings.Split(c.Command, separator), User: c.User})
	case HTTP, HTTPS:
		_, err = c.headers()
		if err != nil {
			ps.add("headers", "%s", err)
			return
		}
	}
	if err != nil {
		ps.add(string(c.Kind), "%s", err)
	}
}

// headers returns the header fields, or what is wrong with them.
func (c Check) headers() (http.Header, error) {
	if c.Headers == "" {
		return nil, nil
	}
	h := http.Header{}
	for field := range strings.SplitSeq(c.Headers, separator) {
		name, value, _ := strings.Cut(field, ": ")
		switch canonical := http.CanonicalHeaderKey(name); {
		case !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value):
			return nil, fmt.Errorf("%q is no header field", field)
		case slices.Contains([]string{"Host", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "Expect"}, canonical):
			return nil, fmt.Errorf("the field %s is not for a check to set", canonical)
		default:
			h[canonical] = append(h[canonical], value)
		}
	}
	return h, nil
}

func (c Check) httpProblems(ps *problems) {
	switch c.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		ps.add("method", "method %q is not one of GET, HEAD, OPTIONS", c.Method)
	}
	if !strings.HasPrefix(c.Path, "/") {
		ps.add(string(c.Kind), "path %q does not begin with /", c.Path)
	} else if strings.ContainsFunc(c.Path, notInRequestLine) {
		ps.add(string(c.Kind), "path %q contains a blank or control character; write it as %%XX", c.Path)
	}
	if strings.ContainsFunc(c.Host, notInHost) {
		ps.add("host", "%q is not a host name", c.Host)
	}
	if strings.ContainsFunc(c.ServerName, notInHost) {
		ps.add("server_name", "%q is not a host name", c.ServerName)
	}
	if _, err := check.ParseStatus(c.Status); err != nil {
		ps.add("status", "%s", err)
	}
	if len(c.Match) > check.MaxMatch {
		ps.add("match", "the text is longer than the %d bytes of the body that are read", check.MaxMatch)
	} else if c.Match != "" && c.Method == http.MethodHead {
		ps.add("match", "a response to HEAD has no body to match")
	}
	if c.Kind == HTTP && (c.Insecure || c.ServerName != "") {
		ps.add("http", "settings of TLS need a probe of kind https")
	}
}

func (c Check) tcpProblems(ps *problems) {
	if c.Method != "" || c.Path != "" || c.Host != "" || c.Status != "" || c.Match != "" {
		ps.add("tcp", "a tcp probe only connects: method, path, host, status and match need a probe of kind http or https")
	}
	if c.Insecure || c.ServerName != "" {
		ps.add("tcp", "settings of TLS need a probe of kind https")
	}
}

// notInRequestLine reports whether r would end or split the request target (RFC 9112, 3.2).
func notInRequestLine(r rune) bool { return r <= ' ' || r == 0x7f }

// notInHost reports whether r has no place in a Host field (RFC 9110, 7.2), an IPv6 literal in brackets included.
func notInHost(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("-._:[]", r):
		return false
	}
	return true
}

type problems []policy.Problem

func (ps *problems) add(key, format string, args ...any) {
	p := policy.Problem{Msg: fmt.Sprintf(format, args...)}
	if key != "" {
		p.Path = []string{key}
	}
	*ps = append(*ps, p)
}

// A Target is one endpoint and how it is checked.
type Target struct {
	Endpoint string     // full name, "service/endpoint"
	Addr     netip.Addr // where to connect
	Port     uint16     // the endpoint's port, 0 if not known; Check.Port goes before it
	Check    Check
}

// Where returns where a check of t connects; the port is 0 if none is known.
func (t Target) Where() netip.AddrPort {
	port := t.Check.Port
	if port == 0 {
		port = t.Port
	}
	if port == 0 {
		switch t.Check.Kind {
		case HTTP:
			port = 80
		case HTTPS, GRPCS, TLS:
			port = 443
		case DNS:
			port = 53
		}
	}
	return netip.AddrPortFrom(t.Addr, port)
}

// sameQuestion reports whether t and u ask the same thing of the same address, be it at another pace.
func (t Target) sameQuestion(u Target) bool {
	for _, c := range [...]*Check{&t.Check, &u.Check} {
		c.Interval, c.Timeout, c.Rise, c.Fall, c.Hold, c.Rule = 0, 0, 0, 0, 0, quorum.Rule{}
	}
	return t == u
}

// newChecker returns what checks t. A target that cannot be checked as configured gets a Checker that says why: an operator
// who asked for a check must not get an endpoint that counts as up because there is none.
func newChecker(t Target) check.Checker {
	c, err := buildChecker(t)
	if err != nil {
		return check.Refused(err)
	}
	return c
}

func buildChecker(t Target) (check.Checker, error) {
	addr := t.Where()
	if err := check.Allowed(addr.Addr(), t.Check.AllowLoopback, t.Check.AllowLinkLocal); err != nil {
		return nil, err
	}
	if addr.Port() == 0 && t.Check.Kind != ICMP && t.Check.Kind != Exec {
		return nil, errors.New("no port to check: neither the endpoint nor its probe has one")
	}
	c := t.Check
	switch c.Kind {
	case TCP:
		return check.NewTCP(check.TCPConfig{Addr: addr, Send: c.Send, Expect: c.Expect}), nil
	case GRPC:
		return check.NewGRPC(check.GRPCConfig{Addr: addr, Service: c.Service, Host: c.Host}), nil
	case GRPCS:
		return check.NewGRPC(check.GRPCConfig{
			Addr: addr, Service: c.Service, Host: c.Host, TLS: &check.TLSConfig{ServerName: c.ServerName, Insecure: c.Insecure},
		}), nil
	case TLS:
		return check.NewTLS(check.TLSConfig{Addr: addr, ServerName: c.ServerName, Insecure: c.Insecure, Expiry: c.Expiry}), nil
	case DNS:
		return check.NewDNS(check.DNSConfig{Addr: addr, Name: c.Name, Type: c.Type, Match: c.Match})
	case ICMP:
		return check.NewICMP(check.ICMPConfig{Addr: addr.Addr()}), nil
	case Exec:
		return check.NewExec(check.ExecConfig{Addr: addr, Command: strings.Split(c.Command, separator), User: c.User})
	case HTTP, HTTPS:
		status, err := check.ParseStatus(c.Status)
		if err != nil {
			return nil, err
		}
		headers, err := c.headers()
		if err != nil {
			return nil, err
		}
		return check.NewHTTP(check.HTTPConfig{
			Headers: headers, HTTP2: c.HTTP2,
			Addr: addr, Method: c.Method, Path: c.Path, Host: c.Host, Status: status, Match: c.Match,
			TLS: c.Kind == HTTPS, ServerName: c.ServerName, Insecure: c.Insecure,
		})
	}
	return nil, fmt.Errorf("unknown kind of probe %q", c.Kind)
}
