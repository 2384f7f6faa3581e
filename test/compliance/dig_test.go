package compliance

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/meridian-gslb/meridian/test/peer"
)

// TestDigHasCookiesAndKeepalive: BIND's client sends a cookie that we did not make and is told BADCOOKIE; if it may, it comes back by
// itself with the cookie it got, and is answered. Over TCP it is told how long its connection may be idle.
func TestDigHasCookiesAndKeepalive(t *testing.T) {
	dig := peer.Find(t, "dig", "bind9-dnsutils")
	port, admin := freePorts(t)
	file := filepath.Join(t.TempDir(), "meridian.yaml")
	peer.Write(t, file, fmt.Sprintf(`
dns: {listen: "127.0.0.1:%d", cookies: {require: true}, tcp: {idle: 7s}}
admin: {listen: "127.0.0.1:%d"}
zones:
  gslb.example:
    ns: [ns1.gslb.example]
    records: {ns1: {A: 127.0.0.1}}
`, port, admin))
	p := peer.Start(t, peer.Build(t), "serve", "-c", file)
	p.WaitDNS(t, 20*time.Second, peer.Local(port), "ns1.gslb.example", dns.TypeA, dns.RcodeSuccess)
	ask := func(args ...string) string {
		t.Helper()
		args = append([]string{"@127.0.0.1", "-p", fmt.Sprint(port), "+tries=1", "+time=5", "ns1.gslb.example", "A"}, args...)
		out, err := exec.Command(dig, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("dig %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	const forged = "+cookie=0102030405060708010000005bd1b2f0aabbccddeeff0011"
	made := regexp.MustCompile(`; COOKIE: [0-9a-f]{48} \(good\)`)
	for _, tt := range []struct {
		args []string
		want *regexp.Regexp
	}{
		{[]string{forged, "+nobadcookie"}, regexp.MustCompile(`status: BADCOOKIE`)},
		{[]string{forged, "+badcookie"}, regexp.MustCompile(`status: NOERROR`)},
		{[]string{forged, "+badcookie"}, made},
		{[]string{"+cookie"}, made},
		{[]string{"+nocookie"}, regexp.MustCompile(`status: NOERROR`)},
		{[]string{forged, "+nobadcookie", "+tcp"}, regexp.MustCompile(`status: NOERROR`)},
		{[]string{"+tcp", "+keepalive"}, regexp.MustCompile(`; TCP[- ]KEEPALIVE: 7\.0 secs`)},
	} {
		if out := ask(tt.args...); !tt.want.MatchString(out) {
			t.Errorf("dig %s does not show %s:\n%s", strings.Join(tt.args, " "), tt.want, out)
		}
	}
	if out := ask("+keepalive"); strings.Contains(strings.ToUpper(out), "KEEPALIVE: ") {
		t.Errorf("keepalive over UDP is answered:\n%s", out)
	}
}
