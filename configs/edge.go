package configs

import (
	"regexp"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/l7edge"
)

// hostForm is how a host name in a certificate is written.
var hostForm = regexp.MustCompile(`^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// decodeEdge reads "edge". The room serves if the section is there; what the section leaves out is the room's default.
func (f *file) decodeEdge(v value) {
	c := &l7edge.Config{SiteName: f.config.Site}
	f.config.Edge = c
	before := f.errors.total
	f.object(v, inEdge, func(key string, v value) { f.edgeKey(key, v, c) })
	if v.Get("https") == nil && v.Get("http") == nil {
		c.HTTPS = []string{defaultHTTPS}
	}
	switch {
	case len(c.HTTPS) > 0 && v.Get("certificates") == nil && v.Get("self_signed") == nil:
		f.report(v.key, v.path, "", "https needs certificates: [{cert: FILE, key: FILE}], or self_signed: [NAME] for trying things out")
	case f.errors.total == before:
		if err := c.Check(); err != nil {
			f.errorf(v, "%s", strings.ReplaceAll(strings.ReplaceAll(err.Error(), "l7edge: ", ""), "\n", "; "))
		}
	}
}

// edgeKey reads one key of "edge".
func (f *file) edgeKey(key string, v value, c *l7edge.Config) {
	switch key {
	case "https":
		c.HTTPS = f.listen(v)
	case "http":
		c.HTTP = f.listen(v)
	case "certificates":
		for _, v := range f.list(v, "certificates") {
			c.Certificates = append(c.Certificates, f.certificate(v))
		}
	case "self_signed":
		c.SelfSigned = f.certificateNames(v)
	case "trusted_proxies":
		for _, e := range v.elements() {
			if s, ok := f.text(e); ok {
				prefix, wrong := parsePrefix(s)
				if wrong != "" {
					f.errorf(e, "%s", wrong)
				}
				c.TrustedProxies = append(c.TrustedProxies, prefix)
			}
		}
	case "access_log":
		c.AccessLog = f.oneOf(v, "off", "stdout", "stderr")
	case "lame_duck":
		if c.LameDuck, _ = f.duration(v, 0, time.Hour); c.LameDuck == 0 {
			c.LameDuck = -1
		}
	case "drain":
		c.DrainTimeout, _ = f.duration(v, time.Millisecond, time.Hour)
	case "connect_timeout":
		c.ConnectTimeout, _ = f.duration(v, time.Millisecond, time.Minute)
	case "header_timeout":
		c.ReadHeaderTimeout, _ = f.duration(v, time.Millisecond, time.Hour)
	case "idle_timeout":
		c.IdleTimeout, _ = f.duration(v, time.Millisecond, 24*time.Hour)
	case "stream_idle_timeout":
		c.StreamIdleTimeout, _ = f.duration(v, time.Millisecond, 24*time.Hour)
	default:
		f.edgeLimit(key, v, c)
	}
}

// edgeLimit reads one of the numbers that bound what the edge takes on.
func (f *file) edgeLimit(key string, v value, c *l7edge.Config) {
	limit := func(n *int, lo, hi int64) {
		got, _ := f.integer(v, lo, hi)
		*n = int(got)
	}
	switch key {
	case "max_connections":
		limit(&c.MaxConnections, 1, 10_000_000)
	case "max_requests":
		limit(&c.MaxRequests, 1, 10_000_000)
	case "max_header_bytes":
		limit(&c.MaxHeaderBytes, 1<<10, 1<<20)
	case "max_header_fields":
		limit(&c.MaxHeaderFields, 10, 10_000)
	case "max_streams":
		limit(&c.MaxStreams, 1, 10_000)
	case "max_idle_connections":
		limit(&c.MaxIdleConnections, 1, 100_000)
	}
}

// certificate reads the files of one certificate.
func (f *file) certificate(v value) l7edge.CertificateFiles {
	var c l7edge.CertificateFiles
	var at filePair
	f.object(v, inCertificate, func(key string, v value) {
		switch key {
		case "cert":
			c.Cert, at.cert = f.filePath(v), v
		case "key":
			c.Key, at.key = f.filePath(v), v
		}
	})
	f.pairs = append(f.pairs, at)
	if v.Kind == yaml.Mapping || v.Kind == yaml.Null {
		f.require(v, "cert", "a PEM file with the certificate and those that sign it")
		f.require(v, "key", "a PEM file with the private key")
	}
	return c
}

// certificateNames reads names and addresses that a certificate is made for.
func (f *file) certificateNames(v value) []string {
	names := f.texts(v)
	for _, e := range v.elements() {
		if e.Kind == yaml.Scalar && e.Value != "" && !isAddress(e.Value) && (len(e.Value) > 253 || !hostForm.MatchString(e.Value)) {
			f.errorf(e, "%s is neither a host name nor an address", quote(e))
		}
	}
	if len(names) == 0 && v.Kind == yaml.Sequence {
		f.errorf(v, "the list is empty; it needs a name")
	}
	return names
}
