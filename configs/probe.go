package configs

import (
	"net/netip"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/probes"
	"github.com/meridian-gslb/meridian/probes/quorum"
)

// decodeProbe reads "probe"; it returns false for "off" and for what is no probe.
func (f *file) decodeProbe(v value, c *probes.Check) bool {
	if v.Kind == yaml.Scalar {
		if v.Value != "off" || v.Quoted {
			f.errorf(v, "a probe such as {http: /healthz, every: 5s}, or off, is expected here, not %s", quote(v))
		}
		return false
	}
	if v.Kind != yaml.Mapping {
		f.errorf(v, "a probe such as {http: /healthz, every: 5s}, or off, is expected here, not %s", v.Kind)
		return false
	}
	before := f.errors.total
	f.object(v, inProbe, func(key string, v value) { f.probeKey(key, v, c) })
	if c.Kind == "" {
		if f.errors.total == before {
			f.errorf(v, "the probe does not say what to check: one of http: /path, https: /path, tcp: true, grpc: \"\", grpcs: \"\", tls: true, dns: NAME, icmp: true, exec: [/path]")
		}
		return false
	}
	*c = c.WithDefaults()
	if c.Kind != probes.HTTP && c.Kind != probes.HTTPS && f.errors.total > before {
		return false
	}
	for _, p := range c.Problems() {
		f.roomProblem(policy.Problem{Path: append([]string{"services", v.path.up.key, "probe"}, p.Path...), Msg: p.Msg})
	}
	return true
}

// probeKey reads one key of a probe.
func (f *file) probeKey(key string, v value, c *probes.Check) {
	switch key {
	case "http", "https", "tcp", "grpc", "grpcs", "tls", "dns", "icmp", "exec":
		if c.Kind != "" {
			f.errorf(v, "a probe is of one kind; this one is %s already", c.Kind)
			return
		}
		c.Kind = probes.Kind(key)
		switch key {
		case "http", "https":
			c.Path, _ = f.text(v)
			return
		case "grpc", "grpcs":
			if f.scalar(v, "the name of a gRPC service, or \"\" for the whole server,") {
				c.Service = v.Value
			}
			return
		case "dns":
			c.Name, _ = f.text(v)
			return
		case "icmp":
			if yes, ok := f.boolean(v); ok && !yes {
				f.errorf(v, "true is expected here; without a probe, write probe: off")
			}
			return
		case "exec":
			c.Command = f.command(v)
			return
		}
		if v.Kind != yaml.Scalar || v.Value != "true" || v.Quoted {
			if f.scalar(v, "true, or a port,") && !integerForm.MatchString(v.Value) {
				f.errorf(v, "true, or a port, is expected here, not %s", quote(v))
			} else if v.Kind == yaml.Scalar {
				f.probePort(v, c)
			}
		}
	case "port":
		f.probePort(v, c)
	case "host":
		c.Host, _ = f.text(v)
	case "method":
		c.Method, _ = f.text(v)
	case "status":
		c.Status = f.status(v)
	case "match":
		c.Match, _ = f.text(v)
	case "headers":
		c.Headers = f.headers(v)
	case "http2":
		c.HTTP2, _ = f.boolean(v)
	case "send":
		c.Send, _ = f.text(v)
	case "expect":
		c.Expect, _ = f.text(v)
	case "expiry":
		c.Expiry, _ = f.duration(v, time.Second, maxExpiry)
	case "type":
		c.Type, _ = f.text(v)
	case "user":
		c.User, _ = f.text(v)
	case "server_name":
		c.ServerName, _ = f.text(v)
	case "insecure":
		c.Insecure, _ = f.boolean(v)
	case "every":
		c.Interval, _ = f.duration(v, probes.MinInterval, probes.MaxInterval)
	case "timeout":
		c.Timeout, _ = f.duration(v, probes.MinTimeout, probes.MaxInterval)
	case "rise":
		n, _ := f.integer(v, 1, probes.MaxThreshold)
		c.Rise = int(n)
	case "fall":
		n, _ := f.integer(v, 1, probes.MaxThreshold)
		c.Fall = int(n)
	case "rule":
		c.Rule = f.rule(v)
	case "hold":
		if isOff(v) {
			c.Hold = -1
		} else {
			c.Hold, _ = f.duration(v, time.Millisecond, quorum.MaxHold)
		}
	}
}

// maxExpiry is the longest that a certificate may be asked to be valid for.
const maxExpiry = 24 * 366 * time.Hour

// headers reads header fields: names with text, or with a list of texts.
func (f *file) headers(v value) string {
	var fields []string
	for _, p := range f.entries(v) {
		for _, e := range v.child(p).elements() {
			if s, ok := f.text(e); ok {
				fields = append(fields, p.Key.Value+": "+s)
			}
		}
	}
	return probes.List(fields...)
}

// command reads a program and its arguments.
func (f *file) command(v value) string {
	var words []string
	for i, e := range v.elements() {
		if s, ok := f.text(e); ok {
			if words = append(words, s); strings.ContainsRune(s, 0) {
				f.errorf(e, "a command cannot hold the character NUL")
			} else if i == 0 && v.Kind == yaml.Scalar && strings.ContainsAny(s, " \t") {
				f.errorf(e, "a command with arguments is a list here: [/path/program, argument]; no shell reads it")
			}
		}
	}
	return probes.List(words...)
}

// rule reads whose votes decide: a word, or a mapping with a number.
func (f *file) rule(v value) (r quorum.Rule) {
	words := []string{"majority", "any", "local", "region-first", "share"}
	if v.Kind != yaml.Mapping {
		if !f.scalar(v, "majority, any, local, region-first, share, {quorum: 3} or {share: 0.18}") {
			return r
		}
		switch f.oneOf(v, words...) {
		case "any":
			r.Kind = quorum.Any
		case "local":
			r.Kind = quorum.Local
		case "region-first":
			r.Kind = quorum.RegionFirst
		case "share":
			r.Kind = quorum.Share
		}
		return r
	}
	if len(v.Pairs) == 0 {
		f.errorf(v, "the rule says nothing: {quorum: 3}, {share: 0.18}, or a word is expected here")
	}
	f.object(v, inRule, func(key string, v value) {
		if r.Kind != quorum.Majority {
			f.errorf(v, "a rule is of one kind; this one is %q already", r)
			return
		}
		switch key {
		case "quorum":
			n, _ := f.integer(v, 1, quorum.MaxProbers)
			r = quorum.Rule{Kind: quorum.AtLeast, K: int(max(n, 1))}
		case "share":
			x, ok := f.number(v, 0, 1)
			if ok && (x == 0 || x == 1) {
				f.errorf(v, "%s is out of range; it is above 0 and below 1", v.Value)
			}
			r = quorum.Rule{Kind: quorum.Share, Share: x}
		}
	})
	return r
}

// probePort reads the port of a probe, which may stand under tcp too.
func (f *file) probePort(v value, c *probes.Check) {
	port := f.port(v)
	if c.Port != 0 && port != c.Port {
		f.errorf(v, "the port is %d already", c.Port)
		return
	}
	c.Port = port
}

// status reads codes and ranges, as one text or as a list.
func (f *file) status(v value) string {
	status := ""
	for i, e := range v.elements() {
		s, ok := f.text(e)
		if !ok {
			return ""
		}
		if i > 0 {
			status += ","
		}
		status += s
	}
	if status == "" {
		f.errorf(v, "status codes such as 200-399 are expected here")
	}
	return status
}

// allowLocal permits a probe what its endpoints need: an address on this machine that stands in the file is meant.
func allowLocal(probe *probes.Check, endpoints []policy.EndpointSpec) {
	for _, e := range endpoints {
		for _, a := range [...]netip.Addr{e.V4, e.V6} {
			probe.AllowLoopback = probe.AllowLoopback || a.IsLoopback()
			probe.AllowLinkLocal = probe.AllowLinkLocal || a.IsLinkLocalUnicast()
		}
	}
}
