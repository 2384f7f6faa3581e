package configs

import (
	"fmt"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/registry"
)

// The forms of scalars.
var (
	integerForm  = regexp.MustCompile(`^[-+]?[0-9]+$`)
	numberForm   = regexp.MustCompile(`^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?$`)
	nameForm     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	endpointForm = regexp.MustCompile(`^[A-Za-z0-9\[:][A-Za-z0-9._:\[\]-]*$`)
)

// scalar reports whether v is a single value, and says what is expected if not.
func (d *decoder) scalar(v value, what string) bool {
	switch v.Kind {
	case yaml.Scalar:
		return true
	case yaml.Null:
		d.errorf(v, "%s is expected here, not nothing", what)
	default:
		d.errorf(v, "%s is expected here, not %s", what, v.Kind)
	}
	return false
}

// text returns any single value as it is written. It is never empty when ok.
func (d *decoder) text(v value) (string, bool) {
	if !d.scalar(v, "text") {
		return "", false
	}
	if v.Value == "" {
		d.errorf(v, "the text is empty")
		return "", false
	}
	return v.Value, true
}

// word returns the name of a thing: letters, digits, "-", "_" and ".".
func (d *decoder) word(v value) (string, bool) {
	s, ok := d.text(v)
	if !ok {
		return "", false
	}
	return s, d.checkName(v.at, v.path, nameForm, s)
}

// checkName reports whether s may name a site, service, policy or region, or an endpoint.
func (d *decoder) checkName(at yaml.Pos, path *step, form *regexp.Regexp, s string) bool {
	switch {
	case len(s) > registry.MaxName:
		d.report(at, path, "", fmt.Sprintf("the name is longer than %d characters", registry.MaxName))
	case !form.MatchString(s):
		d.report(at, path, "", fmt.Sprintf("%q is not a name: letters, digits, \"-\", \"_\" and \".\", beginning with a letter or digit", s))
	default:
		return true
	}
	return false
}

// integer returns a whole number from lo to hi.
func (d *decoder) integer(v value, lo, hi int64) (int64, bool) {
	if !d.scalar(v, "a whole number") {
		return 0, false
	}
	if !integerForm.MatchString(v.Value) || v.Quoted {
		d.errorf(v, "a whole number is expected here, not %s%s", quote(v), unquoteHint(v, integerForm.MatchString(v.Value)))
		return 0, false
	}
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil || n < lo || n > hi {
		d.errorf(v, "%s is out of range; it is %d to %d", v.Value, lo, hi)
		return 0, false
	}
	return n, true
}

// number returns a number from lo to hi.
func (d *decoder) number(v value, lo, hi float64) (float64, bool) {
	if !d.scalar(v, "a number") {
		return 0, false
	}
	if !numberForm.MatchString(v.Value) || v.Quoted {
		d.errorf(v, "a number is expected here, not %s%s", quote(v), unquoteHint(v, numberForm.MatchString(v.Value)))
		return 0, false
	}
	f, err := strconv.ParseFloat(v.Value, 64)
	if err != nil || f < lo || f > hi || math.IsNaN(f) {
		d.errorf(v, "%s is out of range; it is %v to %v", v.Value, lo, hi)
		return 0, false
	}
	return f, true
}

// share returns a part of a whole, from 0 to the most: 0.05, or 5%.
func (d *decoder) share(v value, most float64) (float64, bool) {
	if v.Kind != yaml.Scalar || v.Quoted || !strings.HasSuffix(v.Value, "%") {
		return d.number(v, 0, most)
	}
	text := strings.TrimSuffix(v.Value, "%")
	f, err := strconv.ParseFloat(text, 64)
	if !numberForm.MatchString(text) || err != nil {
		d.errorf(v, "a share such as 0.05 or 5%% is expected here, not %s", quote(v))
		return 0, false
	}
	if f /= 100; f < 0 || f > most {
		d.errorf(v, "%s is out of range; it is 0%% to %v%%", v.Value, 100*most)
		return 0, false
	}
	return f, true
}

// boolean returns true or false.
func (d *decoder) boolean(v value) (b, ok bool) {
	if !d.scalar(v, "true or false") {
		return false, false
	}
	switch {
	case v.Quoted:
	case v.Value == "true":
		return true, true
	case v.Value == "false":
		return false, true
	}
	d.errorf(v, "true or false is expected here, not %s%s", quote(v), unquoteHint(v, v.Value == "true" || v.Value == "false"))
	return false, false
}

// duration returns a Go duration ("1m30s"), or bare seconds, from lo to hi.
func (d *decoder) duration(v value, lo, hi time.Duration) (time.Duration, bool) {
	if !d.scalar(v, "a duration such as 5s") {
		return 0, false
	}
	t, ok := parseDuration(v.Value)
	if !ok {
		hint := ""
		if s := strings.TrimRight(v.Value, "dw"); s != v.Value && integerForm.MatchString(s) {
			hint = "; the largest unit is h, a day is 24h"
		}
		d.errorf(v, "a duration such as 500ms, 5s or 1m30s, or a number of seconds, is expected here, not %s%s", quote(v), hint)
		return 0, false
	}
	if t < lo || t > hi {
		d.errorf(v, "%s is out of range; it is %s to %s", v.Value, showDuration(lo), showDuration(hi))
		return 0, false
	}
	return t, true
}

// showDuration returns a duration as a person writes it: 1h, not 1h0m0s.
func showDuration(t time.Duration) string {
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func parseDuration(s string) (time.Duration, bool) {
	if numberForm.MatchString(s) {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.Abs(f) > 1e9 {
			return math.MaxInt64, err == nil
		}
		return time.Duration(f * float64(time.Second)), true
	}
	t, err := time.ParseDuration(s)
	return t, err == nil
}

// seconds returns a duration in whole seconds, from 1 to the largest TTL of DNS (RFC 2181, 8).
func (d *decoder) seconds(v value) uint32 {
	t, ok := d.duration(v, 0, math.MaxInt32*time.Second)
	if !ok {
		return 0
	}
	if t%time.Second != 0 || t == 0 {
		d.errorf(v, "%s is not a whole number of seconds, 1 or more", v.Value)
		return 0
	}
	return uint32(t / time.Second)
}

// port returns a port number.
func (d *decoder) port(v value) uint16 {
	n, _ := d.integer(v, 1, math.MaxUint16)
	return uint16(n)
}

// address returns one IP address that an endpoint may have.
func (d *decoder) address(v value) (netip.Addr, bool) {
	if !d.scalar(v, "an IP address") {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(v.Value)
	if err != nil {
		hint := ""
		if _, err := netip.ParseAddrPort(v.Value); err == nil {
			hint = "; the port goes into its own key"
		}
		d.errorf(v, "%s is not an IP address%s", quote(v), hint)
		return netip.Addr{}, false
	}
	switch a = a.Unmap(); {
	case a.Zone() != "":
		d.errorf(v, "%s has a zone (%%%s), which means something on one machine only", v.Value, a.Zone())
	case a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		d.errorf(v, "%s is not the address of one host", v.Value)
	default:
		return a, true
	}
	return netip.Addr{}, false
}

// addresses returns one address, or one of each family.
func (d *decoder) addresses(v value) (v4, v6 netip.Addr) {
	if v.Kind == yaml.Sequence && len(v.Items) == 0 {
		d.errorf(v, "the list of addresses is empty")
	}
	for _, e := range v.elements() {
		a, ok := d.address(e)
		switch {
		case !ok:
		case a.Is4() && !v4.IsValid():
			v4 = a
		case a.Is6() && !v6.IsValid():
			v6 = a
		default:
			d.errorf(e, "a second address of the same family; one IPv4 and one IPv6 address belong together, others are endpoints of their own")
		}
	}
	return v4, v6
}

// parsePrefix returns a network, and why s is none.
func parsePrefix(s string) (netip.Prefix, string) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		if a, err := netip.ParseAddr(s); err == nil {
			return netip.Prefix{}, fmt.Sprintf("%q is an address; a single one is the network %s/%d", s, a, a.BitLen())
		}
		return netip.Prefix{}, fmt.Sprintf("%q is not a network such as 192.0.2.0/24 or 2001:db8::/32", s)
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Sprintf("%q is IPv4 written as IPv6; write it as IPv4", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Sprintf("%q has bits set behind its length; the network is %s", s, p.Masked())
	}
	return p, ""
}

// unquoteHint says how to write a value that would be right but for its quotes, "" if that is not what is wrong.
func unquoteHint(v value, right bool) string {
	if !v.Quoted || !right {
		return ""
	}
	return ", which is text for its quotes; write " + v.Value + " without them"
}

// quote returns a scalar as an error message shows it.
func quote(v value) string { return strconv.Quote(clip(v.Value)) }
