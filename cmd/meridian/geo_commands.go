package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/configs"
	"github.com/meridian-gslb/meridian/geodb"
	"github.com/meridian-gslb/meridian/geodb/geobuild"
	"github.com/meridian-gslb/meridian/policy"
)

func (c *cli) geoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "geo",
		Short: "Look into geo databases, compare and build them",
		Long:  `Says where an address is, what changed from one geo database to the next, and builds a database from CSV. No process has to run.`,
		RunE:  run(onlyParent),
	}
	cmd.AddCommand(c.geoLookupCommand(), c.geoDiffCommand(), c.geoBuildCommand())
	return cmd
}

// A geoPlace is what is known of where an address is.
type geoPlace struct {
	Source  string        `json:"source"` // a database, or what the configuration makes of all it has
	Type    string        `json:"type,omitempty"`
	Built   *time.Time    `json:"built,omitempty"`
	Network string        `json:"network,omitempty"` // "" = it is in none
	Site    string        `json:"site,omitempty"`
	Regions []string      `json:"regions,omitempty"` // narrowest first
	At      *policy.Point `json:"at,omitempty"`
	Radius  float64       `json:"radius_km,omitempty"`
}

func (c *cli) geoLookupCommand() *cobra.Command {
	var file string
	var databases []string
	cmd := &cobra.Command{
		Use:   "lookup ADDRESS (-c FILE | --database FILE)",
		Short: "Say where an address is",
		Long: `Shows what geo databases say of an address: the network, the regions that geo rules can be for, from the narrowest, and the
coordinates. With -c it is what a configuration makes of its networks and databases, then each database by itself.`,
		Example: `  meridian geo lookup 192.0.2.1 -c meridian.yaml
  meridian geo lookup 2001:db8::1 --database GeoLite2-City.mmdb`,
		Args: needs("ADDRESS"),
	}
	cmd.RunE = run(func(_ *cobra.Command, args []string) error {
		addr, err := netip.ParseAddr(args[0])
		if err != nil || addr.Zone() != "" {
			return badInput("%q is not an IP address", args[0])
		}
		if (file == "") == (len(databases) == 0) {
			return badInput("name a configuration (-c FILE) or databases (--database FILE)")
		}
		var places []geoPlace
		list, err := openDatabases(databases)
		if file != "" {
			var cfg *configs.Config
			if cfg, err = loadFile(file); err == nil {
				list = cfg.Databases
				places = append(places, placeOf(file, cfg.Compiled.Plan().Locate(netip.PrefixFrom(addr, addr.BitLen()))))
			}
		}
		if err != nil {
			return err
		}
		for _, g := range list {
			places = append(places, placeIn(g, addr))
		}
		return c.print(places, func(p *printer) {
			for _, x := range places {
				printPlace(p, &x)
			}
		})
	})
	cmd.Flags().StringVarP(&file, "config", "c", "", "a configuration file")
	cmd.Flags().StringSliceVar(&databases, "database", nil, "a geo database; may be given several times")
	cmd.MarkFlagFilename("config", "yaml", "yml")
	cmd.MarkFlagFilename("database", "mmdb")
	return cmd
}

// openDatabases reads geo databases.
func openDatabases(names []string) (list []*configs.GeoDatabase, err error) {
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, &exitError{exitBadInput, err}
		}
		db, err := geodb.Read(filepath.Base(name), data)
		if err != nil {
			return nil, badInput("%s: %s", name, strings.TrimPrefix(err.Error(), "geodb: "))
		}
		list = append(list, &configs.GeoDatabase{File: name, Built: time.Unix(db.Built, 0).UTC(), Database: db})
	}
	return list, nil
}

// placeOf is what a configuration makes of an address.
func placeOf(file string, t policy.ClientTrace) geoPlace {
	return geoPlace{Source: file, Network: t.Network, Site: t.Site, Regions: t.Regions, At: t.At, Radius: t.Radius}
}

// placeIn is what a database says of an address.
func placeIn(g *configs.GeoDatabase, addr netip.Addr) geoPlace {
	p, network := g.Table.Lookup(addr)
	built := g.Built.UTC()
	x := geoPlace{Source: g.File, Type: g.Type, Built: &built, Regions: p.Regions()}
	if p != (policy.PlaceSpec{}) {
		x.Network = network.String()
	}
	if p.Located {
		x.At, x.Radius = &p.At, float64(p.Radius)
	}
	return x
}

func printPlace(p *printer, x *geoPlace) {
	head := p.paint(bold, clean(x.Source))
	if x.Built != nil {
		head += fmt.Sprintf("  %s, built %s", clean(x.Type), x.Built.Format(time.DateOnly))
	}
	p.line("%s", head)
	if x.Network == "" {
		p.line("  nothing is known of it")
		return
	}
	p.line("  network  %s", x.Network)
	if x.Site != "" {
		p.line("  site     %s", x.Site)
	}
	p.line("  regions  %s", dash(clean(strings.Join(x.Regions, ", "))))
	switch {
	case x.At != nil && x.Radius > 0:
		p.line("  at       %.4f,%.4f  within %.0f km", x.At.Lat, x.At.Lon, x.Radius)
	case x.At != nil:
		p.line("  at       %.4f,%.4f", x.At.Lat, x.At.Lon)
	case x.Radius > 0:
		p.line("  at       unknown: within %.0f km is not good enough", x.Radius)
	}
}

// A geoDiff is what changed from one database to another.
type geoDiff struct {
	Ranges  int         `json:"ranges"`       // in which the country changed
	V4      uint64      `json:"addresses_v4"` // in them
	Moves   []geoMove   `json:"moves"`        // the largest first
	Changes []geoChange `json:"changes"`      // the first of the ranges
	Left    int         `json:"left_out"`     // ranges that are not among Changes
}

// A geoMove is all that went from one country to another; "" = none was said.
type geoMove struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Ranges int    `json:"ranges"`
	V4     uint64 `json:"addresses_v4"`
}

// A geoChange is a range of addresses that went from one country to another.
type geoChange struct {
	Range string `json:"range"`
	From  string `json:"from"`
	To    string `json:"to"`
}

func (c *cli) geoDiffCommand() *cobra.Command {
	var most int
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show whose country changed from one geo database to another",
		Long: `Counts the ranges of addresses whose country is another in the new database, from which country to which, and lists the first of them:
what to look at before a new database is put in place.`,
		Example: `  meridian geo diff GeoLite2-Country.mmdb new/GeoLite2-Country.mmdb`,
		Args:    needs("OLD", "NEW"),
	}
	cmd.RunE = run(func(_ *cobra.Command, args []string) error {
		if most < 0 {
			return badInput("--most %d: 0 or more is expected", most)
		}
		list, err := openDatabases(args)
		if err != nil {
			return err
		}
		d := diffCountries(list[0].Table, list[1].Table, most)
		return c.print(d, func(p *printer) { printDiff(p, &d) })
	})
	cmd.Flags().IntVar(&most, "most", 20, "list no more ranges, and no more moves, than this")
	return cmd
}

// diffCountries finds the ranges whose country changed. Those that touch and changed in the same way are one.
func diffCountries(before, after *policy.NetworkTable, most int) geoDiff {
	d := geoDiff{Moves: []geoMove{}, Changes: []geoChange{}}
	moves := map[[2]string]*geoMove{}
	var last struct {
		end netip.Addr
		way [2]string
	}
	policy.Compare(before, after, func(r policy.Range, a, b *policy.PlaceSpec) {
		if a.Country == b.Country {
			return
		}
		way := [2]string{a.Country, b.Country}
		m := moves[way]
		if m == nil {
			m = &geoMove{From: a.Country, To: b.Country}
			moves[way] = m
		}
		n := r.CountV4()
		d.V4 += n
		m.V4 += n
		goesOn := last.end.IsValid() && last.end.Next() == r.First() && last.way == way
		last.end, last.way = r.Last(), way
		if goesOn {
			return
		}
		d.Ranges++
		m.Ranges++
		if len(d.Changes) < most {
			d.Changes = append(d.Changes, geoChange{r.String(), way[0], way[1]})
		}
	})
	d.Left = d.Ranges - len(d.Changes)
	for _, m := range slices.SortedFunc(maps.Values(moves), func(a, b *geoMove) int {
		return cmp.Or(cmp.Compare(b.V4, a.V4), cmp.Compare(b.Ranges, a.Ranges), cmp.Compare(a.From+" "+a.To, b.From+" "+b.To))
	}) {
		if len(d.Moves) < most {
			d.Moves = append(d.Moves, *m)
		}
	}
	return d
}

func printDiff(p *printer, d *geoDiff) {
	if d.Ranges == 0 {
		p.line("no country changed")
		return
	}
	p.line("the country changed in %s, of %d IPv4 addresses", plural(d.Ranges, "range"), d.V4)
	var rows [][]string
	for _, m := range d.Moves {
		rows = append(rows, []string{dash(m.From), dash(m.To), strconv.Itoa(m.Ranges), strconv.FormatUint(m.V4, 10)})
	}
	p.section([]string{"FROM", "TO", "RANGES", "IPV4 ADDRESSES"}, rows)
	rows = nil
	for _, x := range d.Changes {
		rows = append(rows, []string{x.Range, dash(x.From), dash(x.To)})
	}
	p.section([]string{"BEGINS WITH", "FROM", "TO"}, rows)
	if d.Left > 0 {
		p.line("  and %d more", d.Left)
	}
}

func (c *cli) geoBuildCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "build CSV -o FILE",
		Short: "Build a geo database from CSV",
		Long: `Reads a CSV whose first line names its columns, of ` + strings.Join(geobuild.Columns(), ", ") + `, and writes
a geo database: one of your own networks, or of corrections, to be named before another in geo.databases. Only the network must be there. Networks may be in
one another; the narrowest wins. The file appears under its name when it is complete.`,
		Example: `  meridian geo build own.csv -o own.mmdb`,
		Args:    needs("CSV"),
	}
	cmd.RunE = run(func(_ *cobra.Command, args []string) error {
		if out == "" {
			return badInput("say where to: -o FILE")
		}
		n, err := buildDatabase(args[0], out, time.Now())
		if err != nil {
			return err
		}
		return c.print(map[string]any{"file": out, "networks": n}, func(p *printer) { p.line("%s: %s", out, plural(n, "network")) })
	})
	cmd.Flags().StringVarP(&out, "output", "o", "", "the database to write")
	cmd.MarkFlagFilename("output", "mmdb")
	return cmd
}

// buildDatabase writes a database beside its place and moves it there, as a process may read it at any time.
func buildDatabase(from, to string, now time.Time) (networks int, err error) {
	in, err := os.Open(from)
	if err != nil {
		return 0, &exitError{exitBadInput, err}
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), "."+filepath.Base(to)+".*")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(out.Name()))
		}
	}()
	if networks, err = geobuild.Build(out, in, from, now); err != nil {
		return 0, errors.Join(&exitError{exitBadInput, err}, out.Close())
	}
	if err := errors.Join(out.Chmod(0o644), out.Sync(), out.Close()); err != nil {
		return 0, err
	}
	return networks, os.Rename(out.Name(), to)
}
