package zonefile

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What BIND reads in a zone file, we read, where it is installed: its named-checkzone writes the zone out again, plainly, and both
// texts must hold the same records.
func TestAgainstBIND(t *testing.T) {
	bind, err := exec.LookPath("named-checkzone")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("named-checkzone is not installed")
		}
		t.Skip("named-checkzone is not installed")
	}
	dir := t.TempDir()
	soa := "@ 300 SOA ns hostmaster 1 2 3 4 5\n@ 300 NS ns.elsewhere.test.\n"
	for i, text := range []string{
		"$TTL 7\nwww IN A 192.0.2.1\n    IN AAAA ::1\nx 60 TXT a \"b c\" \"d;e\" f\\;g h\\\"i \\000\\255 (\n  \"j\" ) ; k\n",
		"$TTL 1h30m\na A 192.0.2.1\n$TTL 1w\nb A 192.0.2.1\nc 1d A 192.0.2.1\nd A 192.0.2.1\n",
		"a 5 A 192.0.2.1\nb A 192.0.2.1\nc IN 6 A 192.0.2.1\nd A 192.0.2.1\n",
		"$TTL 5\n$ORIGIN sub\na A 192.0.2.1\n@ A 192.0.2.2\n$ORIGIN b\nc CNAME @\nd CNAME x.y\ne CNAME z.\n",
		"$TTL 5\n$INCLUDE inc sub\nx A 192.0.2.1\n$INCLUDE inc\n",
		"$TTL 5\n$GENERATE 1-20 h$ A 192.0.2.$\n$GENERATE 0-10/5 g${1,3,d} CNAME t${0,4,x}.x\n$GENERATE 8-20/4 o${0,3,o} MX \"10 m$\"\n",
		"$TTL 5\n$GENERATE 1-3 x$.y$$\\$ 60 IN A 192.0.2.${100}\n$GENERATE 250-258 ${0,0,n}.p PTR ${0,5,N}.q.${-1,2,X}\n$GENERATE 1-2 t$ TXT \"text $\"\n",
		"$TTL 5\na\\.b.c A 192.0.2.1\n\\097\\066 A 192.0.2.1\n\\000\\255 A 192.0.2.1\n\\@ A 192.0.2.1\n\\* A 192.0.2.1\n* A 192.0.2.2\nw*w A 192.0.2.1\n_sip._tcp SRV 1 2 3 X.y\n",
		"$TTL 5\nx TYPE65280 \\# 4 c000 0201\nx TYPE1 \\# 4 c0000201\nx A \\# 4 ( c0 000202 )\nx TYPE731 \\# 0\n",
		"$TTL 5\nh HTTPS 1 . alpn=\"h2,h3\" port=8443 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=::1\ns SVCB 0 x\nk SVCB 1 . key65280=\"a\\\"b\" mandatory=alpn alpn=h2\n",
		"$TTL 5\nc CAA 0 issue \"ca.test; x=y\"\nl LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m\nn NAPTR 100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" .\n" +
			"t TLSA 3 1 1 " + strings.Repeat("ab", 32) + "\nf SSHFP 4 2 " + strings.Repeat("cd", 32) + "\nu URI 1 2 \"https://x/\"\nr RP a b\nhi HINFO a \"b c\"\naf AFSDB 1 x\nd DNAME y\n" +
			"e EUI48 00-00-5e-00-53-2a\nk KX 1 x\nap APL 1:192.0.2.0/24 !2:2001:db8::/32\n",
	} {
		write := func(name, text string) string {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
		write("inc", "y A 192.0.2.3\n$ORIGIN deeper\nz A 192.0.2.4\n")
		in, out := write("z", soa+text), filepath.Join(dir, fmt.Sprint("out", i))
		cmd := exec.Command(bind, "-D", "-k", "ignore", "-i", "none", "-n", "ignore", "-r", "ignore", "-o", out, "example.org", in)
		cmd.Dir = dir
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("BIND refuses %q: %s", text, said)
			continue
		}
		theirs, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		ours, _, problems := parse(t, os.DirFS(dir))
		if len(problems) > 0 {
			t.Errorf("%q: %v", text, problems)
			continue
		}
		again, _, problems := parse(t, files("z", string(theirs)))
		if len(problems) > 0 {
			t.Errorf("%v in what BIND wrote:\n%s", problems, theirs)
			continue
		}
		a, b := lines(t, ours), lines(t, again)
		slices.Sort(a)
		slices.Sort(b)
		if !slices.Equal(slices.Compact(a), slices.Compact(b)) {
			t.Errorf("%s\nours   %q\ntheirs %q", text, a, b)
		}
	}
}
