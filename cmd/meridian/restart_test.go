package main

import (
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/dnsserver"
	"github.com/meridian-gslb/meridian/l7edge"
)

// TestRestartNeeded: what a running process cannot change is named as the file names it; the rest is not.
func TestRestartNeeded(t *testing.T) {
	load := func(change func(*configs.Config)) *configs.Config {
		cfg, err := configs.Parse("dev.yaml", configs.Dev())
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(cfg)
		}
		return cfg
	}
	was := load(nil)
	for name, c := range map[string]struct {
		change func(*configs.Config)
		want   string
	}{
		"nothing":           {nil, ""},
		"log":               {func(c *configs.Config) { c.Log.Level = slog.LevelDebug }, ""},
		"dns address":       {func(c *configs.Config) { c.DNS.Listen = []string{"127.0.0.1:1"} }, "dns.listen"},
		"two of dns":        {func(c *configs.Config) { c.DNS.UDPSize, c.DNS.TCP.Idle = 512, 1 }, "dns.udp_size, dns.tcp"},
		"rate limit":        {func(c *configs.Config) { c.DNS.RateLimit.Rate = 7 }, ""},
		"proxies":           {func(c *configs.Config) { c.DNS.Proxy = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, ""},
		"no dns":            {func(c *configs.Config) { c.DNS = nil }, "dns"},
		"edge drain":        {func(c *configs.Config) { c.Edge.DrainTimeout++ }, "edge.drain"},
		"edge certificates": {func(c *configs.Config) { c.Edge.Certificates = []l7edge.CertificateFiles{{Cert: "a", Key: "b"}} }, "edge.certificates"},
		"admin":             {func(c *configs.Config) { c.Admin.Listen = "127.0.0.1:1" }, "admin.listen"},
		"state":             {func(c *configs.Config) { c.State = "elsewhere" }, "state"},
		"site":              {func(c *configs.Config) { c.Site, c.Edge.SiteName = "us-east", "us-east" }, "site"},
	} {
		err := restartNeeded(was, load(c.change))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), "nothing was changed: "+c.want+" can only change with a restart") {
			t.Errorf("%s: %v", name, err)
		}
		if err := restartNeeded(load(c.change), load(c.change)); err != nil {
			t.Errorf("%s, twice: %v", name, err)
		}
	}
}

// TestSettingsAreNamedAsInTheFile: every field that can be reported is a key of the schema.
func TestSettingsAreNamedAsInTheFile(t *testing.T) {
	schema := string(configs.Schema())
	for _, typ := range []reflect.Type{reflect.TypeFor[dnsserver.Config](), reflect.TypeFor[l7edge.Config](), reflect.TypeFor[admin.Config]()} {
		for i := range typ.NumField() {
			if key := settingOf(typ.Field(i).Name); !strings.Contains(schema, `"`+key+`":`) {
				t.Errorf("%v.%s is called %q, which the file does not know", typ, typ.Field(i).Name, key)
			}
		}
	}
}
