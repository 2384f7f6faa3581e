package differential

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/test/peer"
)

// A reference is another server that serves the same zones.
type reference struct {
	name   string
	addr   string
	lacks  map[string]bool // apexes of zones it would not load
	buf    []byte
	socket net.Conn
}

// settle is a name that the zone the servers are waited for by has.
const settle = "settle.invalid."

// zoneFiles writes the zone files, and one more that is known to load, and calls each for every zone.
func zoneFiles(t *testing.T, dir string, zones []*testZone, each func(apex, file string)) {
	all := append([]*testZone{{apex: settle, records: []record{
		{settle, 60, "SOA", "ns.elsewhere.invalid. . 1 2 3 4 5"}, {settle, 60, "NS", "ns.elsewhere.invalid."}}}}, zones...)
	for i, z := range all {
		file := filepath.Join(dir, fmt.Sprintf("%d.zone", i))
		peer.Write(t, file, z.text())
		each(z.apex, file)
	}
}

// startKnot runs Knot DNS.
func startKnot(t *testing.T, zones []*testZone) *reference {
	bin, dir, port := peer.Find(t, "knotd", "knot"), t.TempDir(), peer.FreePort(t)
	var conf strings.Builder
	fmt.Fprintf(&conf, "server:\n  listen: 127.0.0.1@%d\n  rundir: %s\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n"+
		"database:\n  storage: %s\n  journal-db-max-size: 16M\n  kasp-db-max-size: 5M\n  timer-db-max-size: 5M\n  catalog-db-max-size: 5M\n"+
		"log:\n  - target: stderr\n    any: warning\n"+
		"template:\n  - id: default\n    journal-content: none\n    zonefile-sync: -1\n    semantic-checks: off\nzone:\n", port, dir, dir)
	zoneFiles(t, dir, zones, func(apex, file string) { fmt.Fprintf(&conf, "  - domain: %q\n    file: %s\n", apex, file) })
	peer.Write(t, filepath.Join(dir, "knot.conf"), conf.String())
	return ready(t, "knot", port, peer.Start(t, bin, "-c", filepath.Join(dir, "knot.conf")), zones)
}

// startNSD runs NSD.
func startNSD(t *testing.T, zones []*testZone) *reference {
	bin, dir, port := peer.Find(t, "nsd", "nsd"), t.TempDir(), peer.FreePort(t)
	var conf strings.Builder
	fmt.Fprintf(&conf, "server:\n  ip-address: 127.0.0.1@%d\n  username: \"\"\n  chroot: \"\"\n  zonesdir: %q\n  database: \"\"\n  pidfile: \"\"\n"+
		"  logfile: %q\n  xfrdir: %q\n  xfrdfile: \"\"\n  zonelistfile: %q\n  server-count: 1\n  rrl-ratelimit: 0\n  rrl-whitelist-ratelimit: 0\n"+
		"  minimal-responses: yes\n  round-robin: no\n  ipv4-edns-size: 1232\n  tcp-query-count: 0\nremote-control:\n  control-enable: no\n",
		port, dir, filepath.Join(dir, "log"), dir, filepath.Join(dir, "list"))
	zoneFiles(t, dir, zones, func(apex, file string) { fmt.Fprintf(&conf, "zone:\n  name: %q\n  zonefile: %q\n", apex, file) })
	peer.Write(t, filepath.Join(dir, "nsd.conf"), conf.String())
	return ready(t, "nsd", port, peer.Start(t, bin, "-d", "-c", filepath.Join(dir, "nsd.conf")), zones)
}

// startBIND runs BIND's named.
func startBIND(t *testing.T, zones []*testZone) *reference {
	bin, dir, port := peer.Find(t, "named", "bind9"), t.TempDir(), peer.FreePort(t)
	var conf strings.Builder
	fmt.Fprintf(&conf, "options { directory %q; listen-on port %d { 127.0.0.1; }; listen-on-v6 { none; }; pid-file none; session-keyfile none;\n"+
		"  recursion no; minimal-responses yes; dnssec-validation no; empty-zones-enable no; notify no; max-udp-size 1232; edns-udp-size 1232;\n"+
		"  check-names primary ignore; check-integrity no; check-mx-cname ignore; check-srv-cname ignore; check-mx ignore; check-sibling no;\n"+
		"  zero-no-soa-ttl no; check-wildcard no; lock-file none; rrset-order { order fixed; }; zone-statistics none; };\ncontrols { };\n", dir, port)
	zoneFiles(t, dir, zones, func(apex, file string) {
		fmt.Fprintf(&conf, "zone %q { type primary; file %q; };\n", apex, file)
	})
	peer.Write(t, filepath.Join(dir, "named.conf"), conf.String())
	return ready(t, "bind", port, peer.Start(t, bin, "-g", "-n", "1", "-U", "1", "-c", filepath.Join(dir, "named.conf")), zones)
}

// ready waits for a server and finds out which zones it refused to load.
func ready(t *testing.T, name string, port int, p *peer.Process, zones []*testZone) *reference {
	t.Helper()
	ref := &reference{name: name, addr: peer.Local(port), lacks: map[string]bool{}, buf: make([]byte, 65535)}
	p.WaitDNS(t, 20*time.Second, ref.addr, settle, dns.TypeSOA, dns.RcodeSuccess)
	var err error
	if ref.socket, err = net.Dial("udp4", ref.addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ref.socket.Close() })
	missing := zones
	for deadline := time.Now().Add(10 * time.Second); len(missing) > 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var still []*testZone
		for _, z := range missing {
			m := new(dns.Msg)
			m.SetQuestion(z.apex, dns.TypeSOA)
			msg, err := m.Pack()
			if err != nil {
				t.Fatal(err)
			}
			r, err := ref.ask(msg, false)
			if err != nil {
				t.Fatal(err)
			}
			if r.Rcode != dns.RcodeSuccess || len(r.Answer) != 1 {
				still = append(still, z)
			}
		}
		if len(still) == len(missing) && len(still) <= len(zones)/10 {
			break // it will not get better
		}
		missing = still
	}
	for _, z := range missing {
		ref.lacks[z.apex] = true
	}
	if len(missing) > 0 {
		t.Logf("%s does not load %d of %d zones:\n%s", name, len(missing), len(zones), p.Log.Tail(2000))
	}
	if len(missing) > len(zones)/10 {
		t.Errorf("%s lacks too many zones", name)
	}
	return ref
}

// ask sends a message and returns the response.
func (ref *reference) ask(msg []byte, tcp bool) (*dns.Msg, error) {
	if tcp {
		return ref.askTCP(msg)
	}
	for range 3 {
		if _, err := ref.socket.Write(msg); err != nil {
			return nil, err
		}
		for {
			ref.socket.SetReadDeadline(time.Now().Add(2 * time.Second))
			n, err := ref.socket.Read(ref.buf)
			if errors.Is(err, net.ErrClosed) {
				return nil, err
			}
			if err != nil {
				break
			}
			if n > 2 && ref.buf[0] == msg[0] && ref.buf[1] == msg[1] {
				return unpack(ref.buf[:n])
			}
		}
	}
	return nil, fmt.Errorf("%s does not answer", ref.name)
}

func (ref *reference) askTCP(msg []byte) (*dns.Msg, error) {
	conn, err := net.DialTimeout("tcp4", ref.addr, 2*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(conn, ref.buf[:2]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(ref.buf))
	if _, err := io.ReadFull(conn, ref.buf[:n]); err != nil {
		return nil, err
	}
	return unpack(ref.buf[:n])
}

func unpack(b []byte) (*dns.Msg, error) {
	r := new(dns.Msg)
	if err := r.Unpack(b); err != nil {
		return nil, fmt.Errorf("%w in %x", err, b)
	}
	return r, nil
}
