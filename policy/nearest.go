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
	tied   bool // it shares the rank of the one before
}

// byDistance returns the sites that a target does not list, the nearest to a place first, by what the target takes for their distances. Sites whose
// distance is unknown follow in the order of the Spec; so do all if the place has no coordinates, except that the site the place is at is the
// nearest then too.
func byDistance(sites []site, to *target, from place) []siteAt {
	list := make([]siteAt, 0, len(sites))
	for id := SiteID(1); int(id) < len(sites); id++ {
		if slices.Contains(to.sites, id) {
			continue
		}
		s := siteAt{id: id, metres: math.Inf(1)}
		switch at := sites[id].place; {
		case from.known && at.known:
			s.metres = to.biased(id, distance(from.at, at.at))
		case !from.known && from.site == id:
			s.metres = 0
		}
		list = append(list, s)
	}
	slices.SortStableFunc(list, func(a, b siteAt) int { return cmp.Compare(a.metres, b.metres) })
	first := math.Inf(1) // of a rank
	for i := range list {
		s := &list[i]
		s.tied = i > 0 && !math.IsInf(first, 1) && s.metres <= first*(1+to.within)
		if !s.tied {
			first = s.metres
		}
	}
	return list
}

// A target is a compiled GeoTarget.
type target struct {
	nearest bool
	sites   []SiteID
	shares  []bool // parallel to sites: it shares the rank of the one before; nil: none does
	within  float64
	limit   int
	bias    []int // by SiteID; nil: none
	fence   bool
	rest    bool // what it does not list shares a rank
}

// biased returns the distance that a site seems to have.
func (t *target) biased(id SiteID, metres float64) float64 {
	if t.bias == nil {
		return metres
	}
	share := float64(t.bias[id]) / 100
	if share < 0 {
		return math.Round(metres / (1 + share))
	}
	return math.Round(metres * (1 - share))
}

// rankRow returns the rank of each site, by SiteID, for a client at a place under a target: first the sites the target lists, in that
// order, then the others by distance; NoSite comes last. Ranks are dense from 0. places are the ranks as they were if none were shared.
func rankRow(sites []site, to target, from place) (ranks, places []uint16) {
	ranks, places = make([]uint16, len(sites)), make([]uint16, len(sites))
	rank, at := 0, 0
	put := func(id SiteID) {
		ranks[id], places[id] = uint16(rank), uint16(at)
		rank++
		at++
	}
	for i, id := range to.sites {
		if to.shares != nil && to.shares[i] {
			rank--
		}
		put(id)
	}
	for i, s := range byDistance(sites, &to, from) {
		if s.tied || to.rest && i > 0 {
			rank--
		}
		put(s.id)
	}
	if to.rest && len(to.sites) < len(sites)-1 {
		rank--
	}
	put(NoSite)
	return ranks, places
}
