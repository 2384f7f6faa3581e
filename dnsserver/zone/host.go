package zone

import "fmt"

// CheckHost returns an error if s is not a name that a CNAME, SRV, MX, HTTPS or SVCB record may point to: a domain name in
// presentation form, at least one label, no wildcard.
func CheckHost(s string) error {
	name, err := parseName(s)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a name: %w", s, err)
	case len(name) == 1:
		return fmt.Errorf("%q is the root, which is no host", s)
	case name.IsWildcard():
		return fmt.Errorf("%q is a wildcard, which is no host", s)
	}
	return nil
}
