// Package resolvers puts the resolvers of the internet in front of our servers, in a network of its own: root, a top-level zone and
// ours, all on port 53, as in the wild.
package resolvers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/meridian-gslb/meridian/test/peer"
)

// inside is set in the environment of the process that has the namespaces.
const inside = "MERIDIAN_TEST_NETNS"

// Addresses of the little internet.
const (
	rootAddr    = "10.53.0.1" // serves the root and example
	mainAddr    = "10.53.0.2" // gslb.example
	mainAddr6   = "fd00:53::2"
	childAddr   = "10.53.0.3" // child.gslb.example, outside.example
	unboundAddr = "10.53.1.1"
	namedAddr   = "10.53.1.2"
	kresdAddr   = "10.53.1.3"
)

// TestMain runs the tests in network and mount namespaces of their own: port 53 and /etc/resolv.conf are ours there.
func TestMain(m *testing.M) {
	if os.Getenv(inside) != "" {
		if err := furnish(); err != nil {
			fmt.Fprintln(os.Stderr, "setting up the namespaces:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Getuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	case os.Getenv("CI") == "":
		fmt.Fprintln(os.Stderr, "SKIP: no namespaces for networks and mounts may be made here:", err)
		os.Exit(0)
	default:
		fmt.Fprintln(os.Stderr, "namespaces for networks and mounts are needed:", err)
		os.Exit(1)
	}
}

// furnish makes the namespaces habitable.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	commands := []string{"link set lo up", "-6 addr add " + mainAddr6 + "/128 dev lo"}
	for _, a := range []string{rootAddr, mainAddr, childAddr, unboundAddr, namedAddr, kresdAddr} {
		commands = append(commands, "addr add "+a+"/32 dev lo")
	}
	for _, c := range commands {
		if out, err := exec.Command("ip", strings.Fields(c)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w: %s", c, err, out)
		}
	}
	return nil
}

const rootConfig = `
dns: {listen: "10.53.0.1:53"}
admin: {listen: "10.53.0.1:8053"}
zones:
  ".":
    ns: [ns.root.]
    records:
      ns.root: {A: 10.53.0.1}
      example: {NS: ns.root.}
      arpa: {TXT: "nothing here"}
  example:
    ns: [ns.root.]
    records:
      gslb: {NS: [ns1.gslb.example., ns2.gslb.example.]}
      ns1.gslb: {A: 10.53.0.2}
      ns2.gslb: {AAAA: "fd00:53::2"}
      file: {NS: ns1.gslb.example.}
      aliased: {NS: ns1.gslb.example.}
      outside: {NS: ns.outside.example.}
      ns.outside: {A: 10.53.0.3}
`

const childConfig = `
dns: {listen: "10.53.0.3:53"}
admin: {listen: "10.53.0.3:8053"}
zones:
  child.gslb.example:
    ns: [ns.child.gslb.example.]
    records:
      ns: {A: 10.53.0.3}
      www: {A: 192.0.2.30, TXT: "of the child"}
      up: {CNAME: www.gslb.example.}
  noglue.gslb.example:
    ns: [ns.outside.example.]
    records:
      www: {A: 192.0.2.31}
  outside.example:
    ns: [ns.outside.example.]
    records:
      ns: {A: 10.53.0.3}
      www: {A: 192.0.2.32, AAAA: "2001:db8::32"}
      back: {CNAME: www.gslb.example.}
`

const mainConfig = `
dns: {listen: ["10.53.0.2:53", "[fd00:53::2]:53"]}
admin: {listen: "10.53.0.2:8053"}
services:
  web:
    endpoints:
      - {address: 192.0.2.1}
      - {address: 192.0.2.2}
      - {address: "2001:db8::1"}
  hosts:
    endpoints:
      - {host: www.gslb.example, port: 8443, weight: 7, text: "a host"}
policies:
  all: [weighted]
zones:
  gslb.example:
    ns: [ns1.gslb.example., ns2.gslb.example.]
    records:
      ns1: {A: 10.53.0.2}
      ns2: {AAAA: "fd00:53::2"}
      "@": {MX: 10 mail, TXT: "the apex"}
      mail: {A: 192.0.2.25}
      www: {A: 192.0.2.80, AAAA: "2001:db8::80"}
      app: {service: web, policy: all, ttl: 30s}
      "*.apps": {service: web, policy: all, ttl: 30s}
      a.b.ent: {A: 192.0.2.40}
      "*.wild": {A: 192.0.2.41, TXT: wild}
      "*.wildalias": {CNAME: www}
      alias: {CNAME: www}
      chain: {CNAME: alias}
      toapp: {CNAME: app}
      toout: {CNAME: www.outside.example.}
      toback: {CNAME: back.outside.example.}
      tochild: {CNAME: up.child}
      dangling: {CNAME: nowhere}
      child: {NS: ns.child}
      ns.child: {A: 10.53.0.3}
      noglue: {NS: ns.outside.example.}
      _sip._udp: {SRV: 0 5 5060 mail}
      caa: {CAA: '0 issue "ca.example"'}
      https: {HTTPS: '1 . alpn="h2,h3" ipv4hint=192.0.2.80'}
      svcb: {SVCB: 1 www port=53}
      naptr: {NAPTR: '10 20 "S" "SIP+D2U" "" _sip._udp.gslb.example.'}
      ptr: {PTR: www}
      _443._tcp: {TLSA: 3 1 1 %[1]s}
      unknown: {TYPE65280: '\# 4 c0000201'}
      long: {TXT: [%[2]s]}
      many: {A: [%[3]s]}
      old: {DNAME: new}
      www.new: {A: 192.0.2.50}
      "*.wild.new": {A: 192.0.2.51}
      far: {DNAME: outside.example.}
      flat: {alias: www}
      who: {whoami: true}
      steeredcname: {service: hosts, types: [CNAME]}
      _x._tcp: {service: hosts, types: [SRV, TXT]}
      steeredhttps: {service: web, policy: all, types: [A, AAAA, HTTPS]}
  aliased.example:
    ns: [ns1.gslb.example.]
    records:
      "@": {alias: app.gslb.example., MX: 10 mail.gslb.example.}
  file.example: {file: file.zone}
`

// zoneFile is file.example.
const zoneFile = `$TTL 1h
@       SOA ns1.gslb.example. hostmaster ( 1 2h 15m 2w 30 )
        NS  ns1.gslb.example.
        MX  10 mail
mail    A   192.0.2.60
$GENERATE 1-9 node$ A 192.0.2.$
*.w     CNAME node1
deep.ent TXT "beneath" ; an empty non-terminal above
old     DNAME w
web     HTTPS 1 . alpn=h2
`

// startServers runs the three servers.
func startServers(t *testing.T) {
	t.Helper()
	bin := peer.Build(t)
	var long, many []string
	for i := range 40 {
		long = append(long, fmt.Sprintf("%02d-%s", i, strings.Repeat("x", 60)))
	}
	for i := range 95 { // BIND takes no RRset of more than 100 records
		many = append(many, fmt.Sprintf("192.0.2.%d", i))
	}
	main := fmt.Sprintf(mainConfig, strings.Repeat("ab", 32), strings.Join(long, ", "), strings.Join(many, ", "))
	for _, s := range []struct{ name, config, addr, zone string }{
		{"root", rootConfig, rootAddr, "."}, {"main", main, mainAddr, "gslb.example."}, {"child", childConfig, childAddr, "outside.example."},
	} {
		file := filepath.Join(t.TempDir(), s.name+".yaml")
		peer.Write(t, file, s.config)
		peer.Write(t, filepath.Join(filepath.Dir(file), "file.zone"), zoneFile)
		p := peer.Start(t, bin, "serve", "-c", file)
		p.WaitDNS(t, 20*time.Second, s.addr+":53", s.zone, dns.TypeSOA, dns.RcodeSuccess)
	}
}

// startUnbound runs unbound, strict about QNAME minimisation (RFC 9156), with 0x20 and every hardening that does not need DNSSEC.
func startUnbound(t *testing.T) string {
	bin, dir := peer.Find(t, "unbound", "unbound"), t.TempDir()
	peer.Write(t, filepath.Join(dir, "hints"), ". 3600 IN NS ns.root.\nns.root. 3600 IN A "+rootAddr+"\n")
	peer.Write(t, filepath.Join(dir, "conf"), fmt.Sprintf(`server:
  interface: %s
  access-control: 0.0.0.0/0 allow
  directory: %q
  chroot: ""
  username: ""
  pidfile: ""
  use-syslog: no
  logfile: ""
  do-daemonize: no
  num-threads: 1
  module-config: "iterator"
  root-hints: hints
  qname-minimisation: yes
  qname-minimisation-strict: yes
  use-caps-for-id: yes
  harden-below-nxdomain: yes
  harden-referral-path: yes
  harden-short-bufsize: yes
  harden-large-queries: yes
  edns-buffer-size: 1232
remote-control:
  control-enable: no
`, unboundAddr, dir))
	return await(t, peer.Start(t, bin, "-d", "-c", filepath.Join(dir, "conf")), unboundAddr)
}

// startNamed runs BIND, strict about QNAME minimisation. It has no 0x20.
func startNamed(t *testing.T) string {
	bin, dir := peer.Find(t, "named", "bind9"), t.TempDir()
	peer.Write(t, filepath.Join(dir, "hints"), ". 3600 IN NS ns.root.\nns.root. 3600 IN A "+rootAddr+"\n")
	peer.Write(t, filepath.Join(dir, "conf"), fmt.Sprintf(`options { directory %q; listen-on { %s; }; listen-on-v6 { none; }; pid-file none;
  session-keyfile none; lock-file none; recursion yes; allow-recursion { any; }; allow-query-cache { any; }; dnssec-validation no;
  qname-minimization strict; empty-zones-enable no; send-cookie yes; require-server-cookie no; };
controls { };
zone "." { type hint; file "hints"; };
`, dir, namedAddr))
	return await(t, peer.Start(t, bin, "-g", "-n", "1", "-U", "1", "-c", filepath.Join(dir, "conf")), namedAddr)
}

// startKresd runs Knot Resolver, which minimises and plays 0x20 by itself.
func startKresd(t *testing.T) string {
	bin, dir := peer.Find(t, "kresd", "knot-resolver"), t.TempDir()
	peer.Write(t, filepath.Join(dir, "conf"), fmt.Sprintf(`net.listen('%s', 53)
trust_anchors.remove('.')
modules.unload('priming')
modules.unload('ta_update')
modules.unload('ta_signal_query')
modules.unload('detect_time_skew')
modules = { 'hints > iterate' }
hints.root({ ['ns.root.'] = '%s' })
cache.size = 10 * MB
`, kresdAddr, rootAddr))
	return await(t, peer.Start(t, bin, "-n", "-c", filepath.Join(dir, "conf"), dir), kresdAddr)
}

func await(t *testing.T, p *peer.Process, addr string) string {
	t.Helper()
	addr += ":53"
	p.WaitDNS(t, 20*time.Second, addr, "mail.gslb.example", dns.TypeA, dns.RcodeSuccess)
	return addr
}
