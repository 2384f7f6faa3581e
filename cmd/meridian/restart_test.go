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

// TestRestartNeededSaysWhere: the place of a change, what stood there and what stands there now.
func TestRestartNeededSaysWhere(t *testing.T) {
	load := func(text string) *configs.Config {
		t.Helper()
		cfg, err := configs.Parse("m.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return cfg
	}
	for _, c := range []struct{ was, now, want string }{
		{"dns: {listen: \"127.0.0.1:53\"}\n", "# moved\ndns:\n  listen: [127.0.0.1:54, \"[::1]:54\"]\n", "dns.listen (m.yaml:3: 127.0.0.1:53 -> [127.0.0.1:54, [::1]:54]) can only"},
		{"dns:\n", "dns:\n  workers: 3\nstate: s\n", "dns.workers (m.yaml:2: not set -> 3), state (m.yaml:3: not set -> s) can only"},
		{"dns: {tcp: {idle: 5s}}\nstate: s\n", "dns: \nstate: s\n", "dns.tcp (m.yaml, before in line 1: {idle: 5s} -> not set) can only"},
		{"dns: {cookies: {secret: 000102030405060708090a0b0c0d0e0f}}\n", "admin: {}\n", "dns (m.yaml, before in line 1: a section -> not set) can only"},
	} {
		if err := restartNeeded(load(c.was), load(c.now)); err == nil || !strings.Contains(err.Error(), "nothing was changed: "+c.want) {
			t.Errorf("%q: %v, want %q", c.now, err, c.want)
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
