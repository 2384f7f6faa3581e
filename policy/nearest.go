package policy

import (
	"cmp"
	"math"
	"slices"
)

// A place is what is known of where a client or a site is. The zero place is nowhere.
type place struct {
	site    SiteID // NoSite: not at a site
	known   bool   // at is known
	at      Point
	regions regions
}

// earthRadius is the mean radius of the earth in metres.
const earthRadius = 6_371_008.8

// distance returns the great-circle distance in whole metres (haversine), so that sites that are equally far but for rounding tie.
func distance(a, b Point) float64 {
	const rad = math.Pi / 180
	sinLat := math.Sin((b.Lat - a.Lat) * rad / 2)
	sinLon := math.Sin((b.Lon - a.Lon) * rad / 2)
	h := sinLat*sinLat + math.Cos(a.Lat*rad)*math.Cos(b.Lat*rad)*sinLon*sinLon
	return math.Round(2 * earthRadius * math.Asin(math.Sqrt(min(1, h))))
}

// A siteAt is a site with its distance from some place, infinite if unknown.
type siteAt struct {
	id     SiteID
	metres float64
}

// tied reports whether two sites share a rank.
func (a siteAt) tied(b siteAt) bool { return a.metres == b.metres && !math.IsInf(a.metres, 1) }

// byDistance returns all sites, the nearest to a place first. Sites whose distance is unknown follow in the order of the Spec; so
// do all if the place has no coordinates, except that the site the place is at is the nearest then too.
func byDistance(sites []site, from place) []siteAt {
	list := make([]siteAt, 0, len(sites))
	for id := 1; id < len(sites); id++ {
		s := siteAt{SiteID(id), math.Inf(1)}
		switch to := sites[id].place; {
		case from.known && to.known:
			s.metres = distance(from.at, to.at)
		case !from.known && from.site == s.id:
			s.metres = 0
		}
		list = append(list, s)
	}
	slices.SortStableFunc(list, func(a, b siteAt) int { return cmp.Compare(a.metres, b.metres) })
	return list
}

// A target is a compiled GeoTarget.
type target struct {
	nearest bool
	sites   []SiteID
}

// rankRow returns the rank of each site, by SiteID, for a client at a place under a target: first the sites the target lists, in that
// order, then the others by distance; NoSite comes last. Ranks are dense from 0.
func rankRow(sites []site, to target, from place) []uint16 {
	row := make([]uint16, len(sites))
	listed := make([]bool, len(sites))
	rank := 0
	if !to.nearest {
		for _, id := range to.sites {
			row[id], listed[id] = uint16(rank), true
			rank++
		}
	}
	var before *siteAt
	for _, s := range byDistance(sites, from) {
		if listed[s.id] {
			continue
		}
		if before != nil && before.tied(s) {
			rank--
		}
		row[s.id] = uint16(rank)
		rank++
		before = &s
	}
	row[NoSite] = uint16(rank)
	return row
}
