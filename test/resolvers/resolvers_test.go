package resolvers

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"

	"github.com/meridian-gslb/meridian/test/peer"
)

// A row is a question to a resolver and the RDATA of the answer, in presentation form, sorted, without quotes around it.
type row struct {
	name   string
	rrtype uint16
	want   string // records of rrtype, joined by " | "; "" for none; "NXDOMAIN"; "n records" for that many
}

var rows = []row{
	{"gslb.example", dns.TypeSOA, "1 records"},
	{"gslb.example", dns.TypeNS, "ns1.gslb.example. | ns2.gslb.example."},
	{"gslb.example", dns.TypeMX, "10 mail.gslb.example."},
	{"gslb.example", dns.TypeTXT, `"the apex"`},
	{"gslb.example", dns.TypeA, ""},
	{"www.gslb.example", dns.TypeA, "192.0.2.80"},
	{"www.gslb.example", dns.TypeAAAA, "2001:db8::80"},
	{"www.gslb.example", dns.TypeMX, ""},
	{"www.gslb.example", dns.TypeHTTPS, ""},
	{"app.gslb.example", dns.TypeA, "192.0.2.1 | 192.0.2.2"},
	{"app.gslb.example", dns.TypeAAAA, "2001:db8::1"},
	{"app.gslb.example", dns.TypeTXT, ""},
	{"any.apps.gslb.example", dns.TypeA, "192.0.2.1 | 192.0.2.2"},
	{"any.deep.apps.gslb.example", dns.TypeAAAA, "2001:db8::1"},
	{"apps.gslb.example", dns.TypeA, ""},
	{"a.b.ent.gslb.example", dns.TypeA, "192.0.2.40"},
	{"b.ent.gslb.example", dns.TypeA, ""},
	{"ent.gslb.example", dns.TypeA, ""},
	{"c.ent.gslb.example", dns.TypeA, "NXDOMAIN"},
	{"x.wild.gslb.example", dns.TypeA, "192.0.2.41"},
	{"x.y.z.wild.gslb.example", dns.TypeTXT, `"wild"`},
	{"x.wild.gslb.example", dns.TypeAAAA, ""},
	{"x.wildalias.gslb.example", dns.TypeA, "192.0.2.80"},
	{"alias.gslb.example", dns.TypeA, "192.0.2.80"},
	{"alias.gslb.example", dns.TypeCNAME, "www.gslb.example."},
	{"chain.gslb.example", dns.TypeAAAA, "2001:db8::80"},
	{"chain.gslb.example", dns.TypeMX, ""},
	{"toapp.gslb.example", dns.TypeA, "192.0.2.1 | 192.0.2.2"},
	{"toout.gslb.example", dns.TypeAAAA, "2001:db8::32"},
	{"toback.gslb.example", dns.TypeA, "192.0.2.80"},
	{"tochild.gslb.example", dns.TypeA, "192.0.2.80"},
	{"dangling.gslb.example", dns.TypeA, "NXDOMAIN"},
	{"nowhere.gslb.example", dns.TypeA, "NXDOMAIN"},
	{"far.from.anywhere.gslb.example", dns.TypeTXT, "NXDOMAIN"},
	{"www.child.gslb.example", dns.TypeA, "192.0.2.30"},
	{"www.child.gslb.example", dns.TypeTXT, `"of the child"`},
	{"none.child.gslb.example", dns.TypeA, "NXDOMAIN"},
	{"child.gslb.example", dns.TypeNS, "ns.child.gslb.example."},
	{"child.gslb.example", dns.TypeDS, ""},
	{"www.noglue.gslb.example", dns.TypeA, "192.0.2.31"},
	{"_sip._udp.gslb.example", dns.TypeSRV, "0 5 5060 mail.gslb.example."},
	{"_udp.gslb.example", dns.TypeSRV, ""},
	{"caa.gslb.example", dns.TypeCAA, `0 issue "ca.example"`},
	{"https.gslb.example", dns.TypeHTTPS, `1 . alpn="h2,h3" ipv4hint="192.0.2.80"`},
	{"svcb.gslb.example", dns.TypeSVCB, `1 www.gslb.example. port="53"`},
	{"naptr.gslb.example", dns.TypeNAPTR, `10 20 "S" "SIP+D2U" "" _sip._udp.gslb.example.`},
	{"ptr.gslb.example", dns.TypePTR, "www.gslb.example."},
	{"_443._tcp.gslb.example", dns.TypeTLSA, "3 1 1 " + strings.Repeat("ab", 32)},
	{"unknown.gslb.example", 65280, `\# 4 c0000201`},
	{"long.gslb.example", dns.TypeTXT, "40 records"},
	{"many.gslb.example", dns.TypeA, "95 records"},
	{"www.old.gslb.example", dns.TypeA, "192.0.2.50"},
	{"x.y.wild.old.gslb.example", dns.TypeA, "192.0.2.51"},
	{"none.old.gslb.example", dns.TypeA, "NXDOMAIN"},
	{"old.gslb.example", dns.TypeA, ""},
	{"old.gslb.example", dns.TypeDNAME, "new.gslb.example."},
	{"www.far.gslb.example", dns.TypeAAAA, "2001:db8::32"},
	{"flat.gslb.example", dns.TypeA, "192.0.2.80"},
	{"flat.gslb.example", dns.TypeCNAME, ""},
	{"who.gslb.example", dns.TypeTXT, "1 records"},
	{"steeredcname.gslb.example", dns.TypeAAAA, "2001:db8::80"},
	{"_x._tcp.gslb.example", dns.TypeSRV, "0 7 8443 www.gslb.example."},
	{"_x._tcp.gslb.example", dns.TypeTXT, `"a host"`},
	{"steeredhttps.gslb.example", dns.TypeHTTPS, "1 records"},
	{"aliased.example", dns.TypeA, "192.0.2.1 | 192.0.2.2"},
	{"aliased.example", dns.TypeAAAA, "2001:db8::1"},
	{"aliased.example", dns.TypeMX, "10 mail.gslb.example."},
	{"file.example", dns.TypeMX, "10 mail.file.example."},
	{"node7.file.example", dns.TypeA, "192.0.2.7"},
	{"any.w.file.example", dns.TypeA, "192.0.2.1"},
	{"ent.file.example", dns.TypeTXT, ""},
	{"any.old.file.example", dns.TypeA, "192.0.2.1"},
	{"web.file.example", dns.TypeHTTPS, `1 . alpn="h2"`},
	{"node10.file.example", dns.TypeA, "NXDOMAIN"},
	{"wWw.gSLB.eXample", dns.TypeA, "192.0.2.80"},
}

// TestResolvers: unbound, BIND and Knot Resolver, with QNAME minimisation and 0x20 as far as they have it, find everything from
// the root on, and glibc's stub behind each of them and directly.
func TestResolvers(t *testing.T) {
	startServers(t)
	for _, r := range []struct {
		name  string
		start func(*testing.T) string
	}{{"unbound", startUnbound}, {"named", startNamed}, {"kresd", startKresd}} {
		t.Run(r.name, func(t *testing.T) {
			server := r.start(t)
			for _, c := range rows {
				if got := resolve(server, c); got != c.want {
					t.Errorf("%s %s: got %q, want %q", c.name, dns.Type(c.rrtype), got, c.want)
				}
			}
			checkStub(t, strings.TrimSuffix(server, ":53"))
		})
	}
	t.Run("stub", func(t *testing.T) { checkStub(t, mainAddr) })
}

// resolve asks a resolver, over TCP if need be.
func resolve(server string, c row) string {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(c.name), c.rrtype)
	m.SetEdns0(4096, false)
	client := dns.Client{Timeout: 10 * time.Second}
	r, _, err := client.Exchange(m, server)
	if err == nil && r.Truncated {
		client.Net = "tcp"
		r, _, err = client.Exchange(m, server)
	}
	if err != nil {
		return err.Error()
	}
	if r.Rcode != dns.RcodeSuccess {
		return dns.RcodeToString[r.Rcode]
	}
	var found []string
	for _, rr := range r.Answer {
		if rr.Header().Rrtype == c.rrtype {
			found = append(found, strings.SplitN(rr.String(), "\t", 5)[4])
		}
	}
	if strings.HasSuffix(c.want, " records") {
		return strconv.Itoa(len(found)) + " records"
	}
	slices.Sort(found)
	return strings.Join(found, " | ")
}

// checkStub lets glibc resolve by a server, as /etc/resolv.conf says.
func checkStub(t *testing.T, server string) {
	t.Helper()
	getent := peer.Find(t, "getent", "libc-bin")
	dir := t.TempDir()
	bind(t, filepath.Join(dir, "nsswitch.conf"), "/etc/nsswitch.conf", "hosts: files dns\n")
	for _, options := range []string{"edns0", "ndots:1", "use-vc", "single-request"} {
		bind(t, filepath.Join(dir, "resolv.conf"), "/etc/resolv.conf", "nameserver "+server+"\noptions timeout:3 attempts:1 "+options+"\n")
		for _, c := range []struct{ database, name, want string }{
			{"ahosts", "www.gslb.example", "192.0.2.80 | 2001:db8::80"},
			{"ahostsv4", "chain.gslb.example", "192.0.2.80"},
			{"ahostsv6", "x.wildalias.gslb.example", "2001:db8::80"},
			{"ahosts", "app.gslb.example", "192.0.2.1 | 192.0.2.2 | 2001:db8::1"},
			{"ahosts", "nowhere.gslb.example", "exit status 2"},
			{"ahosts", "ent.gslb.example", "exit status 2"},
			{"ahostsv4", "many.gslb.example", "95 records"},
		} {
			out, err := exec.Command(getent, c.database, c.name).CombinedOutput()
			var found []string
			for _, line := range strings.Split(string(out), "\n") {
				if fields := strings.Fields(line); len(fields) > 1 && fields[1] == "STREAM" {
					found = append(found, fields[0])
				}
			}
			slices.Sort(found)
			got := strings.Join(found, " | ")
			if err != nil {
				got = err.Error()
			} else if strings.HasSuffix(c.want, " records") {
				got = strconv.Itoa(len(found)) + " records"
			}
			if got != c.want {
				t.Errorf("getent %s %s by %s, %s: got %q, want %q\n%s", c.database, c.name, server, options, got, c.want, out)
			}
		}
	}
}

// bind puts a file of our own where programs look for another one. Only this mount namespace sees it.
func bind(t *testing.T, own, target, content string) {
	t.Helper()
	peer.Write(t, own, content)
	if err := unix.Mount(own, target, "", unix.MS_BIND, ""); err != nil {
		t.Fatalf("mounting on %s: %v", target, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", target, err)
		}
	})
}
