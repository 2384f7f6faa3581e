package configs

import (
	"net/netip"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/policy"
)

// A siteEdge is what a site says of its edge: the public addresses under which clients reach it.
type siteEdge struct {
	site   string
	v4, v6 netip.Addr
}

// decodeSites reads "sites".
func (f *file) decodeSites(v value) {
	for _, p := range f.entries(v) {
		v := v.child(p)
		f.checkName(p.Key.Pos, v.path, nameForm, p.Key.Value)
		if p.Key.Value == "nearest" {
			f.report(p.Key.Pos, v.path, "", "a site cannot be called \"nearest\": geo stages use the word")
		}
		s := policy.SiteSpec{Name: p.Key.Value}
		f.object(v, inSite, func(key string, v value) {
			switch key {
			case "at":
				s.At = f.point(v)
			case "region":
				s.Region, s.Within = f.placeRegions(v)
			case "edge":
				v4, v6 := f.addresses(v)
				f.edges = append(f.edges, siteEdge{s.Name, v4, v6})
			}
		})
		f.spec.Sites = append(f.spec.Sites, s)
	}
}

// point reads [latitude, longitude] in degrees. A wrong one stands for a place, so that "nearest" has a site to choose.
func (d *decoder) point(v value) *policy.Point {
	if v.Kind != yaml.Sequence || len(v.Items) != 2 {
		d.errorf(v, "[latitude, longitude] in degrees is expected here, such as [53.35, -6.26]")
		return &policy.Point{}
	}
	lat, latOK := d.number(v.item(0), -90, 90)
	lon, lonOK := d.number(v.item(1), -180, 180)
	if !latOK || !lonOK {
		return &policy.Point{}
	}
	return &policy.Point{Lat: lat, Lon: lon}
}

// placeRegions reads the regions that a place is in: one, or a list, narrowest first.
func (d *decoder) placeRegions(v value) (region string, within []string) {
	var all names
	for _, v := range v.elements() {
		s := d.region(v)
		if all.has[s] && s != "" {
			d.errorf(v, "region %q is listed twice", s)
		}
		all.add(s)
	}
	if len(all.list) == 0 {
		d.errorf(v, "a region, or a list of regions, narrowest first, is expected here")
		return "", nil
	}
	return all.list[0], all.list[1:]
}

// region reads the name of a region.
func (d *decoder) region(v value) string {
	s, ok := d.text(v)
	switch {
	case !ok || policy.IsDatabaseRegion(s) || !d.checkName(v.at, v.path, nameForm, s):
	case s == "default":
		d.errorf(v, "a region cannot be called \"default\": geo stages use the word")
	}
	return s
}

// site reads the name of a site that the file declares; "" if there is none of that name.
func (f *file) site(v value) string {
	s, ok := f.text(v)
	if !ok {
		return ""
	}
	f.reference(v, "site", s, f.sites)
	if !f.sites.has[s] {
		return ""
	}
	return s
}

// siteList reads one site or a list of sites.
func (f *file) siteList(v value) []string {
	var sites names
	if v.Kind == yaml.Sequence && len(v.Items) == 0 || v.Kind == yaml.Null {
		f.errorf(v, "a site, or a list of sites, is expected here")
	}
	for _, e := range v.elements() {
		if e.Kind == yaml.Null {
			continue
		}
		s := f.site(e)
		if sites.has[s] {
			f.errorf(e, "site %q is listed twice", s)
		} else if s != "" {
			sites.add(s)
		}
	}
	return sites.list
}
