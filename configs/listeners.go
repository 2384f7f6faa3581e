package configs

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs/yaml"
)

// Where rooms listen when the file does not say: on this machine only. Opening a port to the world is a decision.
const (
	defaultDNS   = "127.0.0.1:53"
	defaultHTTPS = "127.0.0.1:443"
)

// A listener is an address that a room listens on, for finding two rooms on one.
type listener struct {
	value
	addr netip.AddrPort // the zero Addr is every address of the machine
}

// decodeAdmin reads "admin".
func (f *file) decodeAdmin(v value) {
	f.object(v, inAdmin, func(_ string, v value) {
		if v.Kind == yaml.Sequence {
			f.errorf(v, "one address is expected here, not a list")
			return
		}
		if list := f.listen(v); len(list) == 1 {
			f.config.Admin.Listen = list[0]
		}
	})
}

// defaults fills in what applies without a section.
func (f *file) defaults() {
	if f.config.Admin.Listen == "" {
		f.config.Admin.Listen = admin.DefaultListen
	}
}

// listen reads one address to listen on, or a list of them: IP:PORT, or :PORT for every address of the machine.
func (f *file) listen(v value) []string {
	if v.Kind == yaml.Sequence && len(v.Items) == 0 {
		f.errorf(v, "the list of addresses is empty; leave the key out for the default")
	}
	var list []string
	for _, e := range v.elements() {
		if !f.scalar(e, "an address such as 127.0.0.1:53 or \":53\"") {
			continue
		}
		addr, ok := splitListen(e.Value)
		if !ok {
			f.errorf(e, "%s", notListen(e))
			continue
		}
		f.listens = append(f.listens, listener{e, addr})
		list = append(list, e.Value)
	}
	return list
}

// splitListen returns the address and port of a text to listen on; the zero Addr stands for every address.
func splitListen(s string) (netip.AddrPort, bool) {
	if port, ok := strings.CutPrefix(s, ":"); ok {
		n, err := strconv.ParseUint(port, 10, 16)
		return netip.AddrPortFrom(netip.Addr{}, uint16(n)), err == nil
	}
	a, err := netip.ParseAddrPort(s)
	return a, err == nil
}

// notListen says why a text is no address to listen on.
func notListen(v value) string {
	s := v.Value
	if n, err := strconv.ParseUint(s, 10, 64); err == nil && n <= math.MaxUint16 {
		return fmt.Sprintf("%s is a port alone; write 127.0.0.1:%s for this machine only, or \":%s\" for every address", s, s, s)
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return fmt.Sprintf("%q has no port; write %q", s, netip.AddrPortFrom(a, 53).String())
	}
	if strings.Contains(s, "://") {
		return fmt.Sprintf("%q is a URL; write IP:PORT", s)
	}
	if host, _, ok := strings.Cut(s, ":"); ok && host != "" && !strings.Contains(host, "[") && strings.Trim(host, "0123456789.") != "" {
		return fmt.Sprintf("%q has a name; write the IP address to listen on", s)
	}
	return fmt.Sprintf("%q is not an address to listen on: IP:PORT such as 127.0.0.1:53 or \"[::1]:53\", or \":PORT\" for every address", s)
}

// checkListeners reports addresses that are listened on twice.
func (f *file) checkListeners() {
	const most = 256
	if len(f.listens) > most {
		f.errorf(f.listens[most].value, "more than %d addresses to listen on", most)
		return
	}
	slices.SortStableFunc(f.listens, func(a, b listener) int {
		return cmp.Or(cmp.Compare(a.at.Line, b.at.Line), cmp.Compare(a.at.Col, b.at.Col))
	})
	for i, a := range f.listens {
		for _, b := range f.listens[:i] {
			if a.addr.Port() != 0 && a.addr.Port() == b.addr.Port() && covers(a.addr.Addr(), b.addr.Addr()) {
				f.errorf(a.value, "%s is taken by %s on line %d", a.Value, b.path, b.at.Line)
				break
			}
		}
	}
}

// covers reports whether listening on both addresses at one port is listening on some address twice.
func covers(a, b netip.Addr) bool {
	if a == b || !a.IsValid() || !b.IsValid() {
		return true
	}
	return a.Is4() == b.Is4() && (a.IsUnspecified() || b.IsUnspecified())
}
