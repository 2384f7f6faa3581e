package configs

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/meridian-gslb/meridian/configs/yaml"
)

// loadNetworks reads a configuration of two sites with a file of networks.
func loadNetworks(text string) (*Config, error) {
	const main = "site: a\nsites: {a: , b: }\ngeo: {networks: {10.0.0.0/8: b}, networks_file: conf/nets}\n"
	return Load(fstest.MapFS{"etc/m.yaml": {Data: []byte(main)}, "etc/conf/nets": {Data: []byte(text)}}, "etc/m.yaml")
}

// Networks of the file come apart from those of the configuration, whatever stands around them on their lines.
func TestNetworksFile(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "# nothing\n\n": "",
		"192.0.2.0/24 a": "192.0.2.0/24 a",
		"\ufeff\t192.0.2.0/24\t \tb  \r\n2001:db8::/32 a#b\n 192.0.2.0/25   a   # b\n": "192.0.2.0/24 b, 2001:db8::/32 a, 192.0.2.0/25 a",
	} {
		c, err := loadNetworks(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		var got []string
		for _, n := range c.Definition.Policy.Listed {
			got = append(got, n.Prefix.String()+" "+n.Site)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// However many lines are wrong, a hundred are shown, and all are counted.
func TestNetworksFileOfMistakes(t *testing.T) {
	_, err := loadNetworks(strings.Repeat("192.0.2.0/24 c\n", 5000))
	all, ok := err.(*Errors)
	if !ok || all.Total != 5000 || len(all.Problems) != maxShown {
		t.Fatalf("%T: %.200v", err, err)
	}
	if p := all.Problems[99]; p.File != "etc/conf/nets" || p.Line != 100 || p.Source != "192.0.2.0/24 c" {
		t.Errorf("%+v", p)
	}
}

// A line that never ends is shown in part, and a file that is too large not at all.
func TestNetworksFileOfGarbage(t *testing.T) {
	_, err := loadNetworks("192.0.2.0/24 " + strings.Repeat("x", 1<<20) + "\n\xff\xfe 1\n")
	if all, ok := err.(*Errors); !ok || all.Total != 2 || len(err.Error()) > 2000 {
		t.Errorf("%T: %.500v", err, err)
	}
	_, err = loadNetworks(strings.Repeat("#", maxNetworksFile+1))
	if err == nil || !strings.Contains(err.Error(), "has more than 64 MiB") {
		t.Errorf("%.500v", err)
	}
}

// manyNetworks returns a file of n networks, in no order.
func manyNetworks(n int) string {
	var b strings.Builder
	for i := range uint32(n) {
		x := i * 2654435761 // of every other number the product with an odd one is another
		a := netip.AddrFrom4([4]byte{byte(x >> 24), byte(x >> 16), byte(x >> 8), byte(x)})
		fmt.Fprintf(&b, "%v/32 %c\n", a, 'a'+rune(i%2))
	}
	return b.String()
}

// BenchmarkNetworksFile reads half a million networks without compiling them.
func BenchmarkNetworksFile(b *testing.B) {
	fsys := fstest.MapFS{"nets": {Data: []byte(manyNetworks(500_000))}}
	b.ReportAllocs()
	for b.Loop() {
		where := alone()
		where.open = fsys.Open
		f := newFile("m", nil, where)
		f.sites.add("a")
		f.sites.add("b")
		f.decodeNetworksFile(testScalar("nets"))
		if len(f.spec.Listed) != 500_000 || f.errors.total > 0 {
			b.Fatal(f.errors.list)
		}
	}
}

// testScalar is a value as it would stand in a file.
func testScalar(s string) value {
	return value{Node: &yaml.Node{Kind: yaml.Scalar, Value: s}}
}
