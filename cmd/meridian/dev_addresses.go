package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/meridian-gslb/meridian/configs"
)

// taken takes every address that a dev needs, and lets it go again. Its error names all that cannot be had, and the flags that choose
// others, so that nobody has to find out one at a time.
func taken(cfg *configs.Config, d *demo) error {
	var t addressCheck
	defer t.close()
	for _, a := range cfg.DNS.Listen {
		t.udp("--dns", a)
		t.tcp("--dns", a)
	}
	for _, a := range cfg.Edge.HTTPS {
		t.tcp("--https", a)
	}
	for _, a := range cfg.Edge.HTTP {
		t.tcp("--http", a)
	}
	t.tcp("--admin", cfg.Admin.Listen)
	for _, b := range d.backends {
		t.tcp("--backend-port", b.addr.String())
	}
	switch len(t.troubles) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s (does another one run?)", t.troubles[0])
	}
	lines := []string{"these addresses cannot be had; does another one run?"}
	for _, x := range t.troubles {
		lines = append(lines, "  "+x.String())
	}
	return errors.New(strings.Join(lines, "\n"))
}

// An addressCheck holds the addresses that could be had, until it is closed: no two parts can have the same.
type addressCheck struct {
	held     []io.Closer
	troubles []addressTrouble
}

// An addressTrouble is what cannot be had for one reason, and the flag to choose something else.
type addressTrouble struct {
	flag      string
	addresses []string
	why       syscall.Errno
}

func (t addressTrouble) String() string {
	return fmt.Sprintf("%s: %v; %s chooses another", strings.Join(t.addresses, ", "), t.why, t.flag)
}

func (t *addressCheck) tcp(flag, address string) {
	l, err := net.Listen("tcp", address)
	t.note(flag, address, l, err)
}

func (t *addressCheck) udp(flag, address string) {
	l, err := net.ListenPacket("udp", address)
	t.note(flag, address, l, err)
}

// note keeps what could be had, or why not. An address that this machine lacks, or one that is no address, is for the part that needs
// it to explain.
func (t *addressCheck) note(flag, address string, held io.Closer, err error) {
	var why syscall.Errno
	switch {
	case err == nil:
		t.held = append(t.held, held)
		return
	case !errors.As(err, &why) || why == syscall.EADDRNOTAVAIL:
		return
	}
	i := slices.IndexFunc(t.troubles, func(x addressTrouble) bool { return x.flag == flag && x.why == why })
	if i < 0 {
		i = len(t.troubles)
		t.troubles = append(t.troubles, addressTrouble{flag: flag, why: why})
	}
	if x := &t.troubles[i]; !slices.Contains(x.addresses, address) {
		x.addresses = append(x.addresses, address)
	}
}

func (t *addressCheck) close() {
	for _, c := range t.held {
		c.Close()
	}
}
