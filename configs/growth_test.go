//go:build unix

package configs

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hopeless returns files of about size bytes with nothing but mistakes, by name.
func hopeless(size int) map[string]string {
	fill := func(head, s string) string { return head + strings.Repeat(s, (size-len(head))/len(s)) }
	return map[string]string{
		"unknown keys":       fill("", "a: b\n"),
		"aliases":            fill("a: &a [b]\n", "c: *a\n"),
		"brackets":           fill("sites: ", "["),
		"same site":          fill("sites:\n", "  a: b\n"),
		"wrong sites":        fill("sites: {eu-west: }\nservices:\n  web:\n    endpoints:\n", "      - {address: 192.0.2.1, site: us-west-"+strings.Repeat("x", 30)+"}\n"),
		"no addresses":       fill("services:\n  web:\n    endpoints:\n", "    - {}\n"),
		"unknown references": fill("routes:\n", "- {service: webb, policy: nearrest}\n"),
		"nulls":              fill("policies:\n  p:\n", "  -\n"),
		"one line":           fill("policies: {p: [", "x,"),
		"listeners":          fill("dns:\n  listen:\n", "  - :53\n"),
		"sites of a list":    fill("sites: {a: , b: }\npolicies: {p: [failover: [", "a, b, "),
		"texts":              fill("edge: {self_signed: [", "a,"),
	}
}

// However hopeless a file is, the work grows with its size only.
func TestWorkIsLinear(t *testing.T) {
	small, large := hopeless(16<<10), hopeless(64<<10)
	for name := range small {
		read := func(src string) {
			var all *Errors
			if _, err := Parse(name, []byte(src)); !errors.As(err, &all) || len(all.Problems) > 100 {
				t.Errorf("%s: %T", name, err)
			}
		}
		isLinear(t, name, func() { read(small[name]) }, func() { read(large[name]) })
	}
}

// A large file without mistakes takes no more than its share of work either.
func TestWorkOfGoodFilesIsLinear(t *testing.T) {
	small, large := flawless(500), flawless(2000)
	read := func(src string, services int) {
		c, err := Parse("large", []byte(src))
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Warnings) > 0 || len(c.Definition.Policy.Services) != services+1 {
			t.Errorf("%d services, warnings %v", len(c.Definition.Policy.Services), c.Warnings)
		}
	}
	isLinear(t, "no mistakes", func() { read(small, 500) }, func() { read(large, 2000) })
}

// flawless returns a file with n services, each with a record and a route.
func flawless(n int) string {
	var b strings.Builder
	b.WriteString("dns: {listen: 127.0.0.1:53}\nedge: {http: 127.0.0.1:80}\nservices:\n")
	for i := range n {
		fmt.Fprintf(&b, "  s%d: {endpoints: [192.0.2.1], probe: off}\n", i)
	}
	b.WriteString("zones:\n  gslb.example:\n    ns: [ns.example.net.]\n    records:\n")
	for i := range n {
		fmt.Fprintf(&b, "      r%d: {service: s%d, via: edge}\n      c%d: {CNAME: r%d}\n", i, i, i, i)
	}
	b.WriteString("routes:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - {host: r%d.gslb.example, service: s%d}\n", i, i)
	}
	return b.String()
}

// isLinear checks that reading four times as much takes about four times the work, not sixteen times. Work is the processor time of
// this process, which what else the machine does hardly changes.
func isLinear(t *testing.T, name string, small, large func()) {
	t.Helper()
	work := func(f func()) time.Duration {
		start := processorTime(t)
		f()
		return processorTime(t) - start
	}
	var a, b time.Duration
	for range 5 { // what else the process does, such as collecting garbage, may fall on one side once
		if a, b = work(small), work(large); b <= 8*a+30*time.Millisecond {
			return
		}
	}
	t.Errorf("%s: four times the file takes %v after %v of the processor", name, b, a)
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
