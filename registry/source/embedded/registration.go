package embedded

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// Limits of a lease. A registration without a lease (TTL 0) stands until it is deregistered.
const (
	MinTTL = Duration(time.Second)
	MaxTTL = Duration(24 * time.Hour)
)

// A Registration is one endpoint as it registers, and as it is shown.
type Registration struct {
	Service string            `json:"service"`           // at most 253 of a-z 0-9 . _ -, beginning with a letter or digit
	Name    string            `json:"name"`              // the same
	Address []netip.Addr      `json:"address,omitempty"` // one IPv4 or one IPv6 address, or one of each; needed unless Host or Text is there
	Host    string            `json:"host,omitempty"`    // policy.EndpointSpec.Host
	Text    string            `json:"text,omitempty"`    // policy.EndpointSpec.Text
	ALPN    []string          `json:"alpn,omitempty"`    // policy.EndpointSpec.ALPN
	Port    uint16            `json:"port,omitempty"`    // 0 = not known; probes and the edge need one
	Site    string            `json:"site,omitempty"`    // a site of the configuration; "" = none
	Weight  *uint32           `json:"weight,omitempty"`  // 0..policy.MaxWeight; nil = 1
	Meta    map[string]string `json:"meta,omitempty"`    // at most 64 pairs and 4 KiB
	TTL     Duration          `json:"ttl,omitempty"`     // length of the lease, MinTTL..MaxTTL; 0 = no lease

	Registered time.Time `json:"registered,omitzero"` // since when; not read from clients
	Expires    time.Time `json:"expires,omitzero"`    // when the lease ends unless it is renewed; not read from clients, nor stored
}

// A Duration is a time.Duration whose JSON form is Go's, such as "15s" or "1m30s".
type Duration time.Duration

// String returns Go's form.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText returns Go's form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads Go's form.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%.40q is not a duration: write it as in \"15s\" or \"1m30s\"", b)
	}
	*d = Duration(v)
	return nil
}

// A ValidationError says what is wrong with one field of a Registration.
type ValidationError struct {
	Field string // the JSON name, e.g. "address"
	Msg   string
}

// Error returns "embedded: field: message".
func (e *ValidationError) Error() string { return "embedded: " + e.Field + ": " + e.Msg }

func (r Registration) key() string { return key(r.Service, r.Name) }

// normalize checks a Registration and returns it with defaults filled in and nothing shared with the caller. The error is a
// *ValidationError.
func (r Registration) normalize(allowLoopback bool) (Registration, error) {
	fail := func(field, format string, args ...any) (Registration, error) {
		return Registration{}, &ValidationError{field, fmt.Sprintf(format, args...)}
	}
	if !isName(r.Service) {
		return fail("service", "%.80q is no name: use 1 to %d of a-z 0-9 . _ -, beginning with a letter or digit", r.Service, registry.MaxName)
	}
	if !isName(r.Name) {
		return fail("name", "%.80q is no name: use 1 to %d of a-z 0-9 . _ -, beginning with a letter or digit", r.Name, registry.MaxName)
	}
	if r.Site != "" && len(r.Site) > registry.MaxName {
		return fail("site", "the name is longer than %d bytes", registry.MaxName)
	}
	r.Address = slices.Clone(r.Address)
	for i, a := range r.Address {
		r.Address[i] = a.Unmap() // ::ffff:192.0.2.1 is 192.0.2.1
	}
	spec, err := r.addresses()
	if err != nil {
		return Registration{}, err
	}
	weight := uint32(1)
	if r.Weight != nil {
		weight = *r.Weight
	}
	r.Weight = &weight
	r.ALPN = slices.Clone(r.ALPN)
	spec.Name, spec.Weight, spec.Host, spec.Text, spec.ALPN = r.Name, weight, r.Host, r.Text, r.ALPN
	var anywhere policy.Plan // sites are the configuration's, which may change: whether the site exists is decided when merging
	if problems := anywhere.CheckEndpoint(spec); len(problems) > 0 {
		return fail(problems[0].Path[0], "%s", problems[0].Msg)
	}
	for _, a := range r.Address {
		if err := registry.CheckPublic(a); err != nil && !allowLoopback {
			return fail("address", "%v", err)
		}
	}
	r.Meta = maps.Clone(r.Meta)
	if err := registry.CheckMeta(r.Meta); err != nil {
		return fail("meta", "%v", err)
	}
	if r.TTL != 0 && (r.TTL < MinTTL || r.TTL > MaxTTL) {
		return fail("ttl", "%v is out of range: %v to %v, or 0 for no lease", r.TTL, MinTTL, MaxTTL)
	}
	r.Registered, r.Expires = time.Time{}, time.Time{}
	return r, nil
}

// addresses returns the addresses by family.
func (r Registration) addresses() (spec policy.EndpointSpec, err error) {
	for _, a := range r.Address {
		into := &spec.V6
		if a.Is4() {
			into = &spec.V4
		}
		switch {
		case !a.IsValid():
			return spec, &ValidationError{"address", "an address is empty"}
		case into.IsValid():
			return spec, &ValidationError{"address", fmt.Sprintf("%s and %s: one IPv4 and one IPv6 address at most", *into, a)}
		}
		*into = a
	}
	return spec, nil
}

// Spec returns a Registration that was stored as the registry merges it.
func (r Registration) Spec() policy.EndpointSpec {
	spec, _ := r.addresses() // checked when it was registered
	spec.Name, spec.Port, spec.Site, spec.Weight, spec.Meta = r.Name, r.Port, r.Site, *r.Weight, r.Meta
	spec.Host, spec.Text, spec.ALPN = r.Host, r.Text, r.ALPN
	return spec
}

// same says whether two normalized Registrations ask for the same.
func (r Registration) same(o Registration) bool {
	return r.Service == o.Service && r.Name == o.Name && slices.Equal(r.Address, o.Address) &&
		r.Host == o.Host && r.Text == o.Text && slices.Equal(r.ALPN, o.ALPN) && r.Port == o.Port && r.Site == o.Site &&
		*r.Weight == *o.Weight && maps.Equal(r.Meta, o.Meta) && r.TTL == o.TTL
}

func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case i > 0 && (c == '.' || c == '_' || c == '-'):
		default:
			return false
		}
	}
	return s != "" && len(s) <= registry.MaxName
}
