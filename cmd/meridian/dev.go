package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/configs"
)

// devFlags move the parts of `meridian dev` to other addresses.
type devFlags struct {
	dns, https, http, admin string
	backendPort             uint16
	state                   string
	verbose                 bool
}

// The addresses in the embedded configuration, which flags replace.
const (
	devDNS         = `listen: 127.0.0.1:5300`
	devHTTPS       = `https: 127.0.0.1:8443`
	devHTTP        = `http: 127.0.0.1:8080`
	devAdmin       = `listen: 127.0.0.1:8053`
	devBackendPort = `port: 8000`
	devService     = "web" // its endpoints are the demo's backends
)

func (c *cli) devCommand() *cobra.Command {
	var f devFlags
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine, with demo backends and a guide",
		Long: `Runs the main job in one process, without configuration, root, Consul, Redis or a geo database: DNS for the zone
gslb.example, an edge with a certificate made at start, the admin API, and six real backends in three sites that are probed over
HTTP. It prints what to try. Documentation networks stand for places: 192.0.2.0/24 is near eu-west, 198.51.100.0/24 near us-east,
203.0.113.0/24 near ap-south.

What it keeps (drains, registrations, health) goes to a temporary directory that is removed at the end, or to --state. What a killed
process left behind is removed by the next one. So that the guide stays readable only warnings are logged, unless --verbose says otherwise.`,
		Example: `  meridian dev
  meridian dev --dns 127.0.0.1:5353 --state ./dev-state`,
		Args: needs(),
		RunE: run(func(cmd *cobra.Command, _ []string) error { return c.dev(cmd, f) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dns, "dns", "", "DNS address instead of 127.0.0.1:5300 and [::1]:5300")
	flags.StringVar(&f.https, "https", "", "edge address with TLS instead of 127.0.0.1:8443")
	flags.StringVar(&f.http, "http", "", "edge address without TLS instead of 127.0.0.1:8080")
	flags.Uint16Var(&f.backendPort, "backend-port", 8000, "port of the demo backends on 127.0.1.1-2, 127.0.2.1-2, 127.0.3.1-2")
	flags.StringVar(&f.state, "state", "", "directory to keep state in (default: a temporary one)")
	flags.BoolVar(&f.verbose, "verbose", false, "log what happens, not only warnings")
	cmd.MarkFlagDirname("state")
	return cmd
}

func (c *cli) dev(cmd *cobra.Command, f devFlags) error {
	if cmd.Flags().Changed("admin") {
		f.admin = c.address
	}
	if f.state == "" {
		removeStale(os.TempDir(), time.Now())
		dir, err := os.MkdirTemp("", devDirs)
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		f.state = dir
	}
	text := f.config(ipv6Loopback())
	load := func() (*configs.Config, error) { return configs.Parse("dev.yaml", text) }
	cfg, err := load()
	if err != nil {
		return err
	}
	d := newDemo(cfg)
	if err := taken(cfg, d); err != nil {
		return err
	}
	if err := d.start(); err != nil {
		return err
	}
	defer d.stop()
	o := nodeOptions{load: load, file: "dev.yaml (embedded)", logging: newLogSwitch(c.err), allowLoopback: true, demo: d}
	err = untilSignal(cmd.Context(), o, func(ctx context.Context, n *node) {
		if err := n.answers(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("it does not answer itself yet", "err", err)
		}
		guide(&printer{w: c.out, color: colorful(c.out)}, n, d)
	})
	if taken := (*bindError)(nil); errors.As(err, &taken) {
		return fmt.Errorf("%s; does another one run? %s chooses another address", taken.why(), taken.flag)
	}
	return err
}

// config is the embedded configuration with what the flags say. Without flags, DNS and the edge also serve ::1 if this machine
// has it, so that there is something to answer to AAAA.
func (f *devFlags) config(ipv6 bool) []byte {
	both := func(key, flag, port string) string {
		switch {
		case flag != "":
			return key + ": " + strconv.Quote(flag)
		case ipv6:
			return fmt.Sprintf(`%s: [127.0.0.1:%s, "[::1]:%s"]`, key, port, port)
		default:
			return key + ": 127.0.0.1:" + port
		}
	}
	text := strings.NewReplacer(
		devDNS, both("listen", f.dns, "5300"),
		devHTTPS, both("https", f.https, "8443"),
		devHTTP, both("http", f.http, "8080"),
		devAdmin, "listen: "+strconv.Quote(cmp.Or(f.admin, admin.DefaultListen)),
		devBackendPort, fmt.Sprintf("port: %d", f.backendPort),
	).Replace(string(configs.Dev()))
	level := "warn"
	if f.verbose {
		level = "info"
	}
	return []byte("state: " + strconv.Quote(f.state) + "\nlog: {level: " + level + "}\n" + text)
}

// ipv6Loopback says whether this machine has ::1.
func ipv6Loopback() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// newDemo makes a backend for every endpoint of the demo's service.
func newDemo(cfg *configs.Config) *demo {
	d := &demo{}
	for _, s := range cfg.Definition.Policy.Services {
		if s.Name != devService {
			continue
		}
		for _, e := range s.Endpoints {
			d.backends = append(d.backends, &demoBackend{name: e.Name, site: e.Site, addr: netip.AddrPortFrom(e.V4, e.Port)})
		}
	}
	return d
}
