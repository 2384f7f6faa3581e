package configs

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/policy"
)

// maxNetworksFile bounds geo.networks_file: about two million lines.
const maxNetworksFile = 64 << 20

// decodeGeo reads "geo".
func (f *file) decodeGeo(v value) {
	f.object(v, inGeo, func(key string, v value) {
		switch key {
		case "networks":
			f.decodeNetworks(v)
		case "networks_file":
			f.decodeNetworksFile(v)
		case "latency":
			f.decodeLatency(v)
		case "database", "databases":
			if len(f.config.Databases) > 0 {
				f.errorf(v, "name all databases in one list, databases")
				return
			}
			f.decodeDatabases(v)
		case "max_radius":
			f.spec.MaxRadius = f.maxRadius(v)
		}
	})
}

// decodeNetworks reads "geo.networks".
func (f *file) decodeNetworks(v value) {
	seen := map[netip.Prefix]bool{}
	for _, p := range f.entries(v) {
		v := v.child(p)
		prefix, wrong := parsePrefix(p.Key.Value)
		switch {
		case wrong != "":
			f.report(p.Key.Pos, v.path, "", wrong)
		case seen[prefix]:
			f.report(p.Key.Pos, v.path, "", fmt.Sprintf("network %s is declared twice", prefix))
			wrong = "twice"
		}
		seen[prefix] = true
		n := policy.NetworkSpec{Prefix: prefix}
		if v.Kind == yaml.Scalar {
			n.Site = f.site(v)
		} else {
			f.object(v, inNetwork, func(key string, v value) {
				switch key {
				case "site":
					n.Site = f.site(v)
				case "at":
					n.At = f.point(v)
				case "region":
					n.Region, n.Within = f.placeRegions(v)
				}
			})
			if len(v.Pairs) == 0 && (v.Kind == yaml.Mapping || v.Kind == yaml.Null) {
				f.errorf(v, "a site, or a mapping with site, at or region, is expected here")
				continue
			}
		}
		if wrong == "" && (n.Site != "" || n.At != nil || n.Region != "") {
			f.spec.Networks = append(f.spec.Networks, n)
		}
	}
}

// decodeNetworksFile reads the file that "geo.networks_file" names: a network and a site on each line.
func (f *file) decodeNetworksFile(v value) {
	data, text, unchanged := f.openList(v, maxNetworksFile)
	if unchanged {
		f.spec.Listed = f.setting.previous.Definition.Policy.Listed
	}
	if data == nil {
		return
	}
	r := networksReader{dataReader: *data}
	number := strings.Count(text, "\n") + 1
	r.list, r.lines = make([]policy.NetworkSpec, 0, number), make([]int32, 0, number)
	r.readLines(text, r.line)
	if r.eachOnce(func(i int) netip.Prefix { return r.list[i].Prefix }) {
		f.spec.Listed = r.list
	}
}

// openList reads the file that v names, of a network on each line and so many bytes at the most. There is no reader if the file did not change since it
// was last read, or cannot be read, which is reported.
func (f *file) openList(v value, limit int64) (r *dataReader, text string, unchanged bool) {
	path := f.filePath(v)
	if path == "" {
		return nil, "", false
	}
	if path = f.setting.resolve(path); f.unchangedFiles(path) {
		return nil, "", true
	}
	f.newNetworks = true
	text, err := f.readData(path, limit)
	if err != nil {
		f.cannotRead(v, path, err)
		return nil, "", false
	}
	data := f.dataReader(path, v.path)
	return &data, text, false
}

// A dataReader reads a file with a network on each line.
type dataReader struct {
	*file
	path  string
	key   *step
	sites map[string]string // sites by their name, so that all networks share one copy of it
	lines []int32           // of each network: where it stands
}

// dataReader returns a reader of the file of a path, which key names.
func (f *file) dataReader(path string, key *step) dataReader {
	r := dataReader{file: f, path: path, key: key, sites: make(map[string]string, len(f.sites.list))}
	for _, s := range f.sites.list {
		r.sites[s] = s
	}
	return r
}

// readLines calls line with the number of each line, the column of its first word, that word, and the rest. Empty lines, and what follows
// "#", mean nothing.
func (r *dataReader) readLines(text string, line func(number, column int, network, rest string)) {
	number := 0
	for text := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		text, _, _ = strings.Cut(text, "#")
		if network, rest := field(text); network != "" {
			line(number, strings.Index(text, network)+1, network, rest)
		}
	}
}

// A networksReader reads a file of networks. What it keeps holds on to nothing of the file's text.
type networksReader struct {
	dataReader
	list []policy.NetworkSpec
}

// line reads one line: a network and a site.
func (r *networksReader) line(number, column int, network, rest string) {
	site, after := field(rest)
	if more, _ := field(after); more != "" || site == "" {
		r.dataProblem(r.path, number, column, r.key, "a network and a site are expected on a line, such as 192.0.2.0/24 eu-west")
		return
	}
	prefix, wrong := parsePrefix(network)
	if wrong != "" {
		r.dataProblem(r.path, number, column, r.key, wrong)
		return
	}
	name, ok := r.sites[site]
	if !ok {
		r.unknownSite(number, column+len(network)+strings.Index(rest, site), site)
		return
	}
	r.list, r.lines = append(r.list, policy.NetworkSpec{Prefix: prefix, Site: name}), append(r.lines, int32(number))
}

// field returns the first word of a line, and what follows it.
func field(s string) (word, rest string) {
	const space = " \t\r\n"
	s = strings.TrimLeft(s, space)
	if i := strings.IndexAny(s, space); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

func (r *dataReader) unknownSite(line, column int, site string) {
	p := Problem{File: r.path, Line: line, Column: column, Path: r.key.String(), Message: fmt.Sprintf("unknown site %q", clip(site))}
	if len(r.errors.list) < maxShown { // more are only counted, and to look for what was meant takes time
		p.Suggestion = nearest(site, r.file.sites.list)
	}
	if p.Suggestion == "" {
		p.Message += "; there is " + abridge(r.file.sites.list)
		if len(r.file.sites.list) == 0 {
			p.Message = fmt.Sprintf("unknown site %q; the file defines no site", clip(site))
		}
	}
	r.errors.add(p)
}

// clip shortens a word from a file for display.
func clip(s string) string {
	if len(s) > 60 {
		s = s[:60] + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// eachOnce reports whether each network, by its position, stands in the file once; it reports those that do not.
func (r *dataReader) eachOnce(prefix func(i int) netip.Prefix) bool {
	order := func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	}
	inOrder := true
	for i := 1; i < len(r.lines) && inOrder; i++ {
		inOrder = order(prefix(i-1), prefix(i)) < 0
	}
	if inOrder { // as such files mostly are: nothing is there twice
		return true
	}
	by := make([]int, len(r.lines))
	for i := range by {
		by[i] = i
	}
	slices.SortFunc(by, func(i, j int) int { return cmp.Or(order(prefix(i), prefix(j)), cmp.Compare(i, j)) })
	first, clean := 0, true
	for k := 1; k < len(by); k++ {
		if p := prefix(by[k]); p != prefix(by[first]) {
			first = k
		} else {
			clean = false
			r.dataProblem(r.path, int(r.lines[by[k]]), 0, r.key, fmt.Sprintf("network %s stands on line %d already", p, r.lines[by[first]]))
		}
	}
	return clean
}
