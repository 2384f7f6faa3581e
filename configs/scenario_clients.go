package configs

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/simulate"
)

// maxClientsFile bounds a file of clients.
const maxClientsFile = 64 << 20

// defaultClients is how many clients are drawn if a scenario does not say.
const defaultClients = 10_000

// elsewhere is what shares call the clients that are in no network of the configuration.
const elsewhere = "elsewhere"

// decodeClients reads "clients": those of a file, or how to draw them.
func (r *scenarioReader) decodeClients(v value, given bool) {
	s := simulate.Synthetic{Number: defaultClients, Seed: r.scenario.Seed}
	has := map[string]value{}
	if given {
		r.object(v, inClients, func(key string, v value) {
			has[key] = v
			switch key {
			case "number":
				n, ok := r.integer(v, 1, simulate.MaxClients)
				if ok {
					s.Number = int(n)
				}
			case "queries":
				s.Queries, _ = r.positive(v, simulate.MaxQueries)
			case "zipf":
				s.Zipf, _ = r.number(v, 0, simulate.MaxZipf)
			case "shares":
				s.Groups = r.shares(v)
			}
		})
	}
	if file, ok := has["file"]; ok {
		for _, key := range []string{"number", "zipf", "shares"} {
			if other, ok := has[key]; ok {
				r.errorf(other, "%q is for clients that are drawn; these come from a file", key)
			}
		}
		r.readClients(file, s.Queries)
		return
	}
	if r.errors.total > 0 { // nobody is going to ask
		return
	}
	if s.Queries == 0 {
		s.Queries = float64(s.Number)
	}
	for _, n := range r.config.Definition.Policy.Networks {
		s.Known = append(s.Known, n.Prefix)
	}
	if len(s.Groups) == 0 {
		s.Groups = []simulate.Group{{Name: "clients", Share: 1, Networks: s.Known}}
		if len(s.Known) == 0 {
			s.Groups = []simulate.Group{everywhereElse}
		}
	}
	clients, err := s.Clients()
	if err != nil {
		at := r.root
		if given {
			at = v
		}
		r.errorf(at, "%s", strings.TrimPrefix(err.Error(), "simulate: "))
	}
	r.scenario.Clients = clients
}

// everywhereElse is the clients in no network of the configuration.
var everywhereElse = simulate.Group{Name: elsewhere, Share: 1, Networks: []netip.Prefix{netip.PrefixFrom(netip.IPv4Unspecified(), 0)}}

// shares reads how large a part of the clients is where: by region, by site, by network, and elsewhere.
func (r *scenarioReader) shares(v value) (groups []simulate.Group) {
	regions, sites := r.networksBy()
	var known names
	for _, n := range r.config.Definition.Policy.Sites {
		known.add(n.Name)
		known.add(n.Region)
	}
	for _, n := range r.config.Definition.Policy.Networks {
		known.add(n.Region)
	}
	known.add(elsewhere)
	for _, p := range r.entries(v) {
		c, key := v.child(p), p.Key.Value
		g := simulate.Group{Name: key}
		switch {
		case key == elsewhere:
			g.Networks = everywhereElse.Networks
		case strings.Contains(key, "/"):
			prefix, wrong := parsePrefix(key)
			if wrong != "" {
				r.report(p.Key.Pos, c.path, "", wrong)
				continue
			}
			g.Networks = []netip.Prefix{prefix}
		case len(regions[key]) > 0:
			g.Networks = regions[key]
		case len(sites[key]) > 0:
			g.Networks = sites[key]
		case key != "" && known.has[key]:
			r.report(p.Key.Pos, c.path, "", fmt.Sprintf("no network of the configuration is in %q, so no client can be", key))
			continue
		default:
			r.report(p.Key.Pos, c.path, nearest(key, known.list), fmt.Sprintf("%q is no region, site or network, nor \"elsewhere\"", clip(key)))
			continue
		}
		var ok bool
		if g.Share, ok = r.positive(c, simulate.MaxQueries); ok {
			groups = append(groups, g)
		}
	}
	return groups
}

// networksBy returns the networks of the configuration by region, and by site.
func (r *scenarioReader) networksBy() (regions, sites map[string][]netip.Prefix) {
	regions, sites = map[string][]netip.Prefix{}, map[string][]netip.Prefix{}
	spec := &r.config.Definition.Policy
	regionOf := map[string]string{}
	for _, s := range spec.Sites {
		regionOf[s.Name] = s.Region
	}
	add := func(to map[string][]netip.Prefix, key string, n policy.NetworkSpec) {
		if key != "" {
			to[key] = append(to[key], n.Prefix)
		}
	}
	for _, n := range spec.Networks {
		region := n.Region
		if region == "" {
			region = regionOf[n.Site]
		}
		add(regions, region, n)
		add(sites, n.Site, n)
	}
	return regions, sites
}

// readClients reads a file of clients: "network,queries" on each line. total is how many queries a second they have together; 0 = as it says.
func (r *scenarioReader) readClients(v value, total float64) {
	path := r.filePath(v)
	if path == "" {
		return
	}
	path = r.setting.resolve(path)
	text, err := r.readData(path, maxClientsFile)
	if err != nil {
		r.cannotRead(v, path, err)
		return
	}
	r.clientsOf(path, v.path, strings.TrimPrefix(text, "\ufeff"))
	clients := r.scenario.Clients
	if len(clients) == 0 && r.errors.total == 0 {
		r.dataProblem(path, 0, 0, v.path, "there is no client in the file")
	}
	if sum := simulate.Queries(clients); total > 0 {
		for i := range clients {
			clients[i].Queries *= total / sum
		}
	}
}

// clientsOf reads the lines of a file of clients. Empty ones, and what follows "#", mean nothing; the first may be a head.
func (r *scenarioReader) clientsOf(path string, key *step, text string) {
	number, seen := 0, map[netip.Prefix]int{}
	for line := range strings.Lines(text) {
		number++
		line, _, _ = strings.Cut(line, "#")
		first, rest, two := strings.Cut(line, ",")
		network, column := csvField(first, 1)
		if strings.TrimSpace(line) == "" || len(seen) == 0 && strings.EqualFold(network, "prefix") {
			continue
		}
		size, second := csvField(rest, len(first)+2)
		prefix, why := parseClientNetwork(network)
		queries, err := strconv.ParseFloat(size, 64)
		switch {
		case !two || strings.Contains(rest, ","):
			r.dataProblem(path, number, column, key, "a network and its queries a second are expected on a line, such as 192.0.2.0/24,150")
		case why != "":
			r.dataProblem(path, number, column, key, why)
		case err != nil || !(queries > 0 && queries <= simulate.MaxQueries):
			r.dataProblem(path, number, second, key, fmt.Sprintf("%q is not a number of queries: more than 0, at most %v", clip(size), float64(simulate.MaxQueries)))
		case seen[prefix] > 0:
			r.dataProblem(path, number, column, key, fmt.Sprintf("network %s stands on line %d already", prefix, seen[prefix]))
		case len(seen) == simulate.MaxClients:
			r.dataProblem(path, number, column, key, fmt.Sprintf("there are more than %d clients", simulate.MaxClients))
			return
		default:
			seen[prefix] = number
			r.scenario.Clients = append(r.scenario.Clients, simulate.Client{Prefix: prefix, Queries: queries})
		}
	}
}

// csvField returns a field without the space and the quotes around it, and the column it begins at if its text begins at from.
func csvField(text string, from int) (field string, column int) {
	left := strings.TrimLeft(text, " \t")
	column = from + len(text) - len(left)
	field = strings.TrimSpace(left)
	if len(field) >= 2 && field[0] == '"' && field[len(field)-1] == '"' {
		field, column = field[1:len(field)-1], column+1
	}
	return field, column
}

// parseClientNetwork returns a network, or an address as one, and why s is neither.
func parseClientNetwork(s string) (netip.Prefix, string) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), ""
	}
	return parsePrefix(clip(s))
}
