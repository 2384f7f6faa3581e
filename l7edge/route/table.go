// Package route maps a request to the rule that governs it.
//
// It is pure: Compile turns Specs into a Table that never changes, Match reads it, Clean puts a request's path into the one form
// that Match, the access record and the endpoint all see.
package route

import (
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// A Rule is one compiled routing rule. It never changes.
type Rule struct {
	Name     string // Host+Path with "*" for no host, e.g. "api.example.com/v1", "*/"; unique in its Table; for logs and metrics
	Host     string // lower case, no final dot; "" is every host; "*.x" every name below x
	Path     string // clean, no final "/" except for "/" itself
	Service  policy.ServiceID
	Policy   policy.PolicyID
	Protocol Protocol
	Retries  int           // more tries when a connection could not be made
	Timeout  time.Duration // until the response header; 0 = none
}

// A Table is a set of rules ready to be matched. It never changes, so any number of goroutines may use it. A nil Table has no rules.
type Table struct {
	rules   []Rule
	exact   map[string]*segment // by host
	below   map[string]*segment // by what follows "*."
	any     *segment            // rules without a host, or nil
	longest int                 // bytes of the longest key of below
}

// A segment is a node in the tree of paths of one host: what may follow the segments that led here.
type segment struct {
	rule *Rule // nil: no rule ends here
	next map[string]*segment
}

// maxHost is more than a host can have: 253 bytes (RFC 1035 2.3.4), or an address literal.
const maxHost = 256

// Match returns the rule for a request to host and path, and whether there is one.
//
// The host is that of the request as it came: it may carry a port, a final dot and upper case letters. The path is one that Clean
// returned; a path that does not begin with "/" (the "*" of OPTIONS) matches as "/" does. Match does not allocate, and its cost
// grows with the labels of the host and the depth of the configured paths, not with the number of rules.
func (t *Table) Match(host, path string) (*Rule, bool) {
	if t == nil {
		return nil, false
	}
	var buf [maxHost]byte
	h := normalHost(&buf, host)
	if s := t.exact[string(h)]; s != nil {
		if r := s.match(path); r != nil {
			return r, true
		}
	}
	if t.longest > 0 {
		for dot := nextLabel(h); dot < len(h); {
			h = h[dot:]
			if len(h) <= t.longest {
				if s := t.below[string(h)]; s != nil {
					if r := s.match(path); r != nil {
						return r, true
					}
				}
			}
			dot = nextLabel(h)
		}
	}
	r := t.any.match(path)
	return r, r != nil
}

// Rules returns all rules in the order of their Specs. The slice is shared: do not change it.
func (t *Table) Rules() []Rule {
	if t == nil {
		return nil
	}
	return t.rules
}

// match returns the rule with the longest prefix of path, whole segments only, or nil.
func (s *segment) match(path string) *Rule {
	if s == nil {
		return nil
	}
	best := s.rule
	if path == "" || path[0] != '/' {
		return best
	}
	for rest := path[1:]; rest != "" && s.next != nil; {
		name := rest
		if i := strings.IndexByte(rest, '/'); i >= 0 {
			name, rest = rest[:i], rest[i+1:]
		} else {
			rest = ""
		}
		if s = s.next[name]; s == nil {
			break
		}
		if s.rule != nil {
			best = s.rule
		}
	}
	return best
}

// normalHost writes host without port and final dot, in lower case, to buf and returns what it wrote: nothing if it cannot be a
// host for its length. An IPv6 address keeps its brackets.
func normalHost(buf *[maxHost]byte, host string) []byte {
	if i := strings.LastIndexByte(host, ':'); i >= 0 && (host[0] != '[' || host[i-1] == ']') {
		host = host[:i]
	}
	if n := len(host); n > 0 && host[n-1] == '.' {
		host = host[:n-1]
	}
	if len(host) > len(buf) {
		return nil
	}
	for i := range len(host) {
		c := host[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(host)]
}

// nextLabel returns where the second label of h begins, or len(h) if h has one label.
func nextLabel(h []byte) int {
	for i, c := range h {
		if c == '.' {
			return i + 1
		}
	}
	return len(h)
}
