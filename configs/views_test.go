package configs

import (
	"net/netip"
	"testing"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
	"github.com/meridian-gslb/meridian/dnsserver/zone"
)

// Files of a zone that is another in a view are followed apart, and what did not change is the very same.
func TestRereadOfViews(t *testing.T) {
	d := newDesk(t)
	d.put("zones/inner", "$TTL 1h\n@ SOA ns.example.net. hostmaster 1 1h 10m 7d 10s\n@ NS ns.example.net.\nwww A 10.0.0.1\n")
	d.put("meridian.yaml", "dns:\nzones:\n  a.example: {file: zones/a}\nviews:\n  office:\n    networks: 10.0.0.0/8\n    zones: {a.example: {file: zones/inner}}\n")
	c := d.read()
	kinds := func(c *Config, name string) (out [2]zone.Kind) {
		n, err := wire.ParseName(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, from := range []string{"192.0.2.1", "10.0.0.1"} {
			out[i] = c.Compiled.Zones().For(netip.MustParseAddr(from)).Lookup(n, wire.TypeA).Kind
		}
		return out
	}
	if got := kinds(c, "more.a.example"); got != [2]zone.Kind{zone.Answer, zone.NXDomain} {
		t.Error(got)
	}
	before := c.Compiled.Zones().Zones()
	d.put("zones/inner", "$TTL 1h\n@ SOA ns.example.net. hostmaster 2 1h 10m 7d 10s\n@ NS ns.example.net.\nnew A 10.0.0.2\n")
	c = d.reread(c)
	if got := kinds(c, "new.a.example"); got != [2]zone.Kind{zone.NXDomain, zone.Answer} {
		t.Error(got)
	}
	if after := c.Compiled.Zones().Zones(); after[0] != before[0] || after[1] == before[1] || after[1].Serial() != 2 {
		t.Error("the zone that did not change was made again, or the one that did was not")
	}
}
