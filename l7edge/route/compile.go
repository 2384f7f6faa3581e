package route

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// Compile checks the Specs and returns a Table of them, or every problem found and no Table. Paths of problems are
// {"routes", position, key}. Two rules of the same host and path are refused, so the order of the Specs never decides.
//
// The plan names the services and policies. The Table stays valid for every later Plan whose services and policies stand in the
// same order. A nil plan leaves those names unchecked and the Table's ids zero: it serves to find the other problems.
func Compile(specs []Spec, plan *policy.Plan) (*Table, []policy.Problem) {
	c := compiler{plan: plan, seen: make(map[string]int, len(specs))}
	c.table = &Table{rules: make([]Rule, 0, len(specs)), exact: map[string]*segment{}, below: map[string]*segment{}}
	for i, s := range specs {
		if r, ok := c.rule(i, s); ok {
			c.table.rules = append(c.table.rules, r)
		}
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	for i := range c.table.rules {
		c.table.add(&c.table.rules[i])
	}
	return c.table, nil
}

type compiler struct {
	plan     *policy.Plan
	table    *Table
	seen     map[string]int // name of a rule -> position of its Spec
	problems []policy.Problem
}

func (c *compiler) problem(i int, key, format string, args ...any) {
	path := []string{"routes", strconv.Itoa(i)}
	if key != "" {
		path = append(path, key)
	}
	c.problems = append(c.problems, policy.Problem{Path: path, Msg: fmt.Sprintf(format, args...)})
}

// rule compiles the Spec at position i. It reports false if the Spec had a problem.
func (c *compiler) rule(i int, s Spec) (Rule, bool) {
	before := len(c.problems)
	r := Rule{Protocol: s.Protocol, Retries: s.Retries, Timeout: s.Timeout}
	var err error
	if r.Host, err = specHost(s.Host); err != nil {
		c.problem(i, "host", "%v", err)
	}
	if r.Path, err = specPath(s.Path); err != nil {
		c.problem(i, "path", "%v", err)
	}
	if len(c.problems) == before {
		r.Name = r.Host + r.Path
		if r.Host == "" {
			r.Name = "*" + r.Path
		}
		if first, dup := c.seen[r.Name]; dup {
			c.problem(i, "", "route %d already has the host and path %s; only one of them can win", first, r.Name)
		} else {
			c.seen[r.Name] = i
		}
	}
	c.target(i, s, &r)
	if s.Protocol >= numProtocols {
		c.problem(i, "protocol", "%v is not a protocol", s.Protocol)
	}
	switch {
	case s.Retries == -1:
		r.Retries = DefaultRetries
	case s.Retries < 0 || s.Retries > MaxRetries:
		c.problem(i, "retries", "%d is not between 0 and %d", s.Retries, MaxRetries)
	}
	switch {
	case s.Timeout == 0:
		r.Timeout = DefaultTimeout
	case s.Timeout < 0:
		r.Timeout = 0
	case s.Timeout < MinTimeout || s.Timeout > MaxTimeout:
		c.problem(i, "timeout", "%v is not between %v and %v", s.Timeout, MinTimeout, duration(MaxTimeout))
	}
	return r, len(c.problems) == before
}

// target resolves the names of the service and the policy.
func (c *compiler) target(i int, s Spec, r *Rule) {
	if s.Service == "" {
		c.problem(i, "service", "a route needs a service")
	}
	if c.plan == nil {
		return
	}
	var ok bool
	if r.Service, ok = c.plan.ServiceByName(s.Service); !ok && s.Service != "" {
		c.problem(i, "service", "there is no service %q", s.Service)
	}
	name := s.Policy
	if name == "" {
		name = policy.DefaultPolicy
	}
	if r.Policy, ok = c.plan.PolicyByName(name); !ok {
		c.problem(i, "policy", "there is no policy %q", name)
	}
}

// add puts a rule into the tree of its host.
func (t *Table) add(r *Rule) {
	s := t.root(r.Host)
	for name := range strings.SplitSeq(strings.Trim(r.Path, "/"), "/") {
		if name == "" {
			break
		}
		if s.next == nil {
			s.next = map[string]*segment{}
		}
		if s.next[name] == nil {
			s.next[name] = &segment{}
		}
		s = s.next[name]
	}
	s.rule = r
}

// root returns the tree of a host, made if need be.
func (t *Table) root(host string) *segment {
	if host == "" {
		if t.any == nil {
			t.any = &segment{}
		}
		return t.any
	}
	trees := t.exact
	if parent, ok := strings.CutPrefix(host, "*."); ok {
		trees, host = t.below, parent
		t.longest = max(t.longest, len(parent))
	}
	if trees[host] == nil {
		trees[host] = &segment{}
	}
	return trees[host]
}

// specHost returns the host of a Spec as a Rule has it.
func specHost(host string) (string, error) {
	h := strings.ToLower(strings.TrimSuffix(host, "."))
	switch {
	case host == "":
		return "", nil
	case strings.Contains(h, "://"):
		return "", fmt.Errorf("%q has a scheme; write the host alone", host)
	case strings.Contains(h, "/"):
		return "", fmt.Errorf("%q has a path; write it under path", host)
	case h == "*":
		return "", fmt.Errorf("%q stands alone; leave host out to match every host", host)
	}
	if a, err := netip.ParseAddr(strings.Trim(h, "[]")); err == nil {
		if a.Zone() != "" {
			return "", fmt.Errorf("%q has a zone", host)
		}
		if a.Is4() {
			return a.String(), nil
		}
		return "[" + a.String() + "]", nil
	}
	if name, port, ok := strings.Cut(h, ":"); ok {
		return "", fmt.Errorf("%q has a port (%s); write %q, which matches every port", host, port, name)
	}
	labels, _ := strings.CutPrefix(h, "*.")
	if len(h) > 253 {
		return "", fmt.Errorf("the host is %d bytes long; 253 is the most", len(h))
	}
	for label := range strings.SplitSeq(labels, ".") {
		if err := hostLabel(label); err != nil {
			return "", fmt.Errorf("%q %w", host, err)
		}
	}
	return h, nil
}

func hostLabel(label string) error {
	switch {
	case label == "":
		return fmt.Errorf("has an empty label")
	case len(label) > 63:
		return fmt.Errorf("has a label of %d bytes; 63 is the most", len(label))
	case strings.Contains(label, "*"):
		return fmt.Errorf(`has a "*" that is not the whole first label`)
	case label[0] == '-' || label[len(label)-1] == '-':
		return fmt.Errorf("has a label that begins or ends with a hyphen")
	}
	for i := range len(label) {
		switch c := label[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
		case c >= 0x80:
			return fmt.Errorf("is not ASCII; write international names in their xn-- form")
		default:
			return fmt.Errorf("has the character %q, which no host has", c)
		}
	}
	return nil
}

// specPath returns the path of a Spec as a Rule has it.
func specPath(path string) (string, error) {
	if path == "" {
		return "/", nil
	}
	if path[0] != '/' {
		return "", fmt.Errorf("%q does not begin with /", path)
	}
	if i := strings.IndexAny(path, "?#*"); i >= 0 {
		return "", fmt.Errorf("%q has a %q; a path is a plain prefix that matches whole segments", path, path[i])
	}
	if len(path) > MaxPath {
		return "", fmt.Errorf("the path is %d bytes long; %d is the most", len(path), MaxPath)
	}
	clean, ok := Clean(path)
	if !ok {
		return "", fmt.Errorf("%q can never match: such request paths are refused", path)
	}
	if strings.Count(clean, "/") != strings.Count(path, "/") {
		return "", fmt.Errorf("%q is not clean; write %q", path, clean)
	}
	if len(clean) > 1 {
		clean = strings.TrimSuffix(clean, "/")
	}
	return clean, nil
}

// duration is a time.Duration that prints without zero units.
type duration time.Duration

func (d duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
