package policy

import (
	"iter"
	"slices"
	"strings"
)

// regions are the names of the regions that a place is in, narrowest first, each followed by a line feed: a list that can be compared.
type regions string

// regionsOf returns the regions of a site or network.
func regionsOf(region string, within []string) regions {
	var text strings.Builder
	for _, name := range append([]string{region}, within...) {
		if name != "" {
			text.WriteString(name)
			text.WriteByte('\n')
		}
	}
	return regions(text.String())
}

// all yields the names, narrowest first.
func (r regions) all() iter.Seq[string] {
	return func(yield func(string) bool) {
		for name := range strings.Lines(string(r)) {
			if !yield(name[:len(name)-1]) {
				return
			}
		}
	}
}

// list returns the names, narrowest first.
func (r regions) list() []string { return slices.Collect(r.all()) }

// Regions whose code may be that of a country or of a continent are written with what they are before them.
const (
	countryPrefix   = "country/"
	continentPrefix = "continent/"
)

// ambiguous are the codes of continents that are codes of countries too, with the names of both.
var ambiguous = map[string][2]string{
	"AF": {"Africa", "Afghanistan"},
	"AS": {"Asia", "American Samoa"},
	"NA": {"North America", "Namibia"},
	"SA": {"South America", "Saudi Arabia"},
}

// countryRegion returns the region of a country by its code.
func countryRegion(code string) string {
	if _, twice := ambiguous[code]; twice {
		return countryPrefix + code
	}
	return code
}

// continentRegion returns the region of a continent by its code.
func continentRegion(code string) string {
	if _, twice := ambiguous[code]; twice {
		return continentPrefix + code
	}
	return code
}

// RegionName returns the one name of a region that may be written in two ways: "country/GB" is "GB".
func RegionName(name string) string {
	for _, prefix := range []string{countryPrefix, continentPrefix} {
		if code, ok := strings.CutPrefix(name, prefix); ok {
			if _, twice := ambiguous[code]; !twice && isCode(code) {
				return code
			}
		}
	}
	return name
}

// IsRegion reports whether a string can be the name of a region: letters, digits, '.', '_' and '-', beginning with a letter or digit, or
// a name as IsDatabaseRegion has them.
func IsRegion(name string) bool {
	return len(name) <= maxName && isName(name, "") || IsDatabaseRegion(name)
}

// IsDatabaseRegion reports whether a string is written as the regions of geo databases are: "AS64500", the code of a country or continent
// in two capitals, "country/NA", "continent/NA", "GB/ENG" or "GB/ENG/London".
func IsDatabaseRegion(name string) bool {
	if len(name) > maxName || !isText(name) {
		return false
	}
	if number, ok := strings.CutPrefix(name, "AS"); ok && number != "" && len(number) <= 10 && strings.Trim(number, "0123456789") == "" {
		return true
	}
	parts := strings.SplitN(name, "/", 3)
	if len(parts) == 2 && (parts[0]+"/" == countryPrefix || parts[0]+"/" == continentPrefix) {
		parts = parts[1:]
	}
	if !isCode(parts[0]) {
		return false
	}
	for _, p := range parts[1:] {
		if p != strings.TrimSpace(p) || p == "" && len(parts) < 3 { // cities may be in no subdivision: "MC//Monaco"
			return false
		}
	}
	return parts[len(parts)-1] != ""
}

// isCode reports whether a string is two capitals.
func isCode(s string) bool {
	return len(s) == 2 && 'A' <= s[0] && s[0] <= 'Z' && 'A' <= s[1] && s[1] <= 'Z'
}

// checkRuleRegion checks that a geo rule at the current path is for a region that a client can be in.
func (c *compiler) checkRuleRegion(name string) {
	if c.regionExists(name) {
		return
	}
	if len(c.plan.tables) > 0 && IsDatabaseRegion(name) {
		if both, twice := ambiguous[name]; twice {
			c.problem(here, "%q is %s and %s: write continent/%s or country/%s", name, both[0], both[1], name, name)
		}
		return
	}
	msg := ""
	if IsDatabaseRegion(name) {
		msg = ", and there is no geo database: name one in geo.databases"
	}
	c.problem(here, "no site and no network is in region %q%s", name, msg)
}

// regionExists reports whether a site or a network of the Spec is in a region.
func (c *compiler) regionExists(region string) bool {
	return slices.ContainsFunc(c.plan.places, func(p place) bool {
		for name := range p.regions.all() {
			if name == region {
				return true
			}
		}
		return false
	})
}
