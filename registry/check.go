package registry

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/meridian-gslb/meridian/policy"
)

// Limits of what exists.
const (
	MaxEndpoints           = 100_000 // in all
	MaxEndpointsPerService = 10_000
	MaxName                = 253  // bytes of a site's, service's or endpoint's name
	MaxMetaPairs           = 64   // of one endpoint
	MaxMetaBytes           = 4096 // keys and values of one endpoint together
)

// checkSizes returns the problems of a Definition that exceeds the limits. What else is wrong with it is for policy.Compile to say.
func checkSizes(d Definition) (problems []policy.Problem) {
	report := func(msg string, path ...string) {
		problems = append(problems, policy.Problem{Path: path, Msg: msg})
	}
	total := 0
	for _, s := range d.Policy.Services {
		if n := len(s.Endpoints); n > MaxEndpointsPerService {
			report(fmt.Sprintf("%d endpoints are too many: at most %d", n, MaxEndpointsPerService), "services", s.Name, "endpoints")
		}
		for i, e := range s.Endpoints {
			if err := CheckMeta(e.Meta); err != nil {
				report(err.Error(), "services", s.Name, "endpoints", strconv.Itoa(i), "meta")
			}
		}
		total += len(s.Endpoints)
	}
	if total > MaxEndpoints {
		report(fmt.Sprintf("%d endpoints in all are too many: at most %d", total, MaxEndpoints), "services")
	}
	return problems
}

// CheckMeta says what is wrong with an endpoint's metadata; nil if nothing.
func CheckMeta(meta map[string]string) error {
	if len(meta) > MaxMetaPairs {
		return fmt.Errorf("%d pairs are too many: at most %d", len(meta), MaxMetaPairs)
	}
	n := 0
	for k, v := range meta {
		switch {
		case k == "":
			return errors.New("a key is empty")
		case !Printable(k):
			return fmt.Errorf("key %.40q has control characters", k)
		case !Printable(v):
			return fmt.Errorf("the value of %.40q has control characters", k)
		}
		n += len(k) + len(v)
	}
	if n > MaxMetaBytes {
		return fmt.Errorf("%d bytes are too many: at most %d, keys and values together", n, MaxMetaBytes)
	}
	return nil
}

// Printable says whether text from outside can be shown to people as it is: valid UTF-8, with neither control characters nor those
// that change the direction of what follows.
func Printable(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}

// CheckPublic says whether an address is one that a source may publish where Options.AllowLoopback is false; nil if it is.
func CheckPublic(a netip.Addr) error {
	switch {
	case a.IsLoopback():
		return fmt.Errorf("%s is a loopback address, which only the configuration file may use", a)
	case a.IsLinkLocalUnicast():
		return fmt.Errorf("%s is a link-local address, which only the configuration file may use", a)
	}
	return nil
}

// checkPublished says what is wrong with an endpoint that a source published; nil if nothing.
func (c *Compiled) checkPublished(e policy.EndpointSpec, allowLoopback bool) error {
	if problems := c.plan.CheckEndpoint(e); len(problems) > 0 {
		return errors.New(problems[0].Msg)
	}
	if !allowLoopback {
		for _, a := range [...]netip.Addr{e.V4, e.V6} {
			if err := CheckPublic(a); err != nil {
				return err
			}
		}
	}
	if err := CheckMeta(e.Meta); err != nil {
		return fmt.Errorf("metadata: %w", err)
	}
	return nil
}
