package geodb

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"

	"github.com/meridian-gslb/meridian/policy"
)

// maxEntries bounds what is looked at of one record, whose parts may point to one another in a damaged database. Those of City databases have some
// two hundred entries, most of them names in other languages.
const maxEntries = 4096

var (
	errLarge = errors.New("has too many entries")
	errNoMap = errors.New("is no map")
)

// A record is what is read of one record, whatever its shape: nested as those of MaxMind and DB-IP, or flat as those of IPinfo.
type record struct {
	asn                           uint32
	city, subdivision, regionName string
	country, continent            string
	lat, lon                      float64
	hasLat, hasLon                bool
	radius                        float64
	entries                       int
}

// place returns the record as the policy takes it. A city or subdivision without a country is left out, as are names that cannot be shown.
func (r *record) place() policy.PlaceSpec {
	p := policy.PlaceSpec{ASN: r.asn, Country: r.country, Continent: r.continent, Radius: float32(r.radius)}
	if p.Country != "" {
		p.Subdivision = strings.ReplaceAll(orElse(r.subdivision, r.regionName), "/", "-")
		if !policy.IsDatabaseRegion(p.Country + "/" + p.Subdivision) {
			p.Subdivision = ""
		}
		p.City = r.city
		if !policy.IsDatabaseRegion(p.Country + "/" + p.Subdivision + "/" + p.City) {
			p.City = ""
		}
	}
	if r.hasLat && r.hasLon && !(r.lat == 0 && r.lon == 0) {
		p.Located, p.At = true, policy.Point{Lat: r.lat, Lon: r.lon}
	} else {
		p.Radius = 0
	}
	return p
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// UnmarshalMaxMindDBCursor implements mmdbdata.CursorUnmarshaler.
func (r *record) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	if kind, err := c.Kind(); err == nil && kind != mmdbdata.KindMap {
		return c, errNoMap
	}
	return r.object(c, r.field)
}

// field reads an entry of the record itself.
func (r *record) field(key string, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	switch key {
	case "city":
		return r.named(c, &r.city, nil)
	case "subdivisions":
		return r.first(c, func(c mmdbdata.Cursor) (mmdbdata.Cursor, error) { return r.named(c, &r.regionName, &r.subdivision) })
	case "country", "country_code":
		return r.code(c, "iso_code", &r.country)
	case "continent", "continent_code":
		return r.code(c, "code", &r.continent)
	case "location", "geo":
		return r.object(c, r.field)
	case "region":
		return r.text(c, &r.regionName)
	case "region_code":
		return r.text(c, &r.subdivision)
	case "latitude", "lat":
		return r.number(c, &r.lat, &r.hasLat)
	case "longitude", "lng", "lon":
		return r.number(c, &r.lon, &r.hasLon)
	case "loc":
		return r.loc(c)
	case "accuracy_radius", "radius":
		return r.number(c, &r.radius, new(bool))
	case "as", "traits":
		return r.object(c, r.system)
	}
	return r.system(key, c)
}

// system reads an entry about the autonomous system; others are passed over.
func (r *record) system(key string, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	switch key {
	case "autonomous_system_number", "asn", "as_number":
		return r.systemNumber(c)
	}
	return c.Skip()
}

// object calls f with the entries of a map; anything else says nothing.
func (r *record) object(c mmdbdata.Cursor, f func(key string, c mmdbdata.Cursor) (mmdbdata.Cursor, error)) (mmdbdata.Cursor, error) {
	if kind, err := c.Kind(); err != nil || kind != mmdbdata.KindMap {
		return skip(c, err)
	}
	m, err := c.Map()
	if err != nil {
		return c, err
	}
	var next mmdbdata.Cursor
	for {
		key, v, ok := m.Next(next)
		if !ok {
			break
		}
		if r.entries++; r.entries > maxEntries {
			return c, errLarge
		}
		if next, err = f(string(key), v); err != nil {
			return c, fmt.Errorf("%.40q: %w", key, err)
		}
	}
	if err := m.Err(); err != nil {
		return c, err
	}
	return m.End()
}

// first calls f with the first of a list, if there is one.
func (r *record) first(c mmdbdata.Cursor, f func(mmdbdata.Cursor) (mmdbdata.Cursor, error)) (mmdbdata.Cursor, error) {
	if kind, err := c.Kind(); err != nil || kind != mmdbdata.KindSlice {
		return skip(c, err)
	}
	list, err := c.Slice()
	if err != nil {
		return c, err
	}
	var next mmdbdata.Cursor
	for {
		i, v, ok := list.Next(next)
		if !ok {
			break
		}
		if r.entries++; r.entries > maxEntries {
			return c, errLarge
		}
		if i == 0 {
			next, err = f(v)
		} else {
			next, err = v.Skip()
		}
		if err != nil {
			return c, err
		}
	}
	if err := list.Err(); err != nil {
		return c, err
	}
	return list.End()
}

// named reads what is a name itself, or has an English one under "names" and perhaps a code.
func (r *record) named(c mmdbdata.Cursor, name, code *string) (mmdbdata.Cursor, error) {
	if kind, err := c.Kind(); err != nil || kind != mmdbdata.KindMap {
		return r.text(c, name)
	}
	return r.object(c, func(key string, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
		switch {
		case key == "names":
			return r.object(c, func(key string, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
				if key == "en" {
					return r.text(c, name)
				}
				return c.Skip()
			})
		case key == "iso_code" && code != nil:
			return r.text(c, code)
		}
		return c.Skip()
	})
}

// code reads a code of two letters that stands by itself or under a key. Anything else that stands by itself is a name, and says nothing.
func (r *record) code(c mmdbdata.Cursor, key string, code *string) (next mmdbdata.Cursor, err error) {
	text := ""
	if kind, kindErr := c.Kind(); kindErr == nil && kind == mmdbdata.KindMap {
		next, err = r.object(c, func(k string, c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
			if k == key {
				return r.text(c, &text)
			}
			return c.Skip()
		})
	} else {
		next, err = r.text(c, &text)
	}
	if text = strings.ToUpper(text); len(text) == 2 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
		*code = text
	}
	return next, err
}

// text reads a string; anything else says nothing.
func (r *record) text(c mmdbdata.Cursor, s *string) (mmdbdata.Cursor, error) {
	if kind, err := c.Kind(); err != nil || kind != mmdbdata.KindString {
		return skip(c, err)
	}
	text, next, err := c.ReadString()
	*s = strings.TrimSpace(text)
	return next, err
}

// number reads a number, which may be written as text. An empty text says nothing.
func (r *record) number(c mmdbdata.Cursor, x *float64, has *bool) (mmdbdata.Cursor, error) {
	kind, err := c.Kind()
	if err != nil {
		return c, err
	}
	next := c
	switch kind {
	case mmdbdata.KindFloat32, mmdbdata.KindFloat64:
		*x, next, err = c.ReadFloat()
		*has = true
	case mmdbdata.KindUint16, mmdbdata.KindUint32, mmdbdata.KindUint64, mmdbdata.KindInt32:
		var n uint64
		var signed bool
		n, signed, next, err = c.ReadInteger()
		*x, *has = float64(n), true
		if signed {
			*x = float64(int64(n))
		}
	case mmdbdata.KindString:
		var s string
		if next, err = r.text(c, &s); err == nil && s != "" {
			*x, err = parseFloat(s)
			*has = true
		}
	default:
		return c.Skip()
	}
	if err == nil && (math.IsNaN(*x) || math.IsInf(*x, 0)) {
		err = fmt.Errorf("%v is no number", *x)
	}
	return next, err
}

func parseFloat(s string) (float64, error) {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q is no number", s)
	}
	return x, nil
}

// loc reads "51.5,-0.1".
func (r *record) loc(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	var s string
	next, err := r.text(c, &s)
	if err != nil || s == "" {
		return next, err
	}
	lat, lon, _ := strings.Cut(s, ",")
	if r.lat, err = parseFloat(strings.TrimSpace(lat)); err == nil {
		r.lon, err = parseFloat(strings.TrimSpace(lon))
	}
	r.hasLat, r.hasLon = true, true
	return next, err
}

// systemNumber reads the number of an autonomous system: 64500 or "AS64500".
func (r *record) systemNumber(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	if kind, err := c.Kind(); err != nil || kind != mmdbdata.KindString {
		var x float64
		next, err := r.number(c, &x, new(bool))
		if err == nil && !(x >= 0 && x <= math.MaxUint32) {
			err = fmt.Errorf("%v is no number of an autonomous system", x)
		}
		r.asn = uint32(x)
		return next, err
	}
	var s string
	next, err := r.text(c, &s)
	if err != nil || s == "" {
		return next, err
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.ToUpper(s), "AS"), 10, 32)
	if err != nil {
		return next, fmt.Errorf("%.40q is no autonomous system, such as AS64500", s)
	}
	r.asn = uint32(n)
	return next, nil
}

// skip passes over a value, unless there was trouble with it already.
func skip(c mmdbdata.Cursor, err error) (mmdbdata.Cursor, error) {
	if err != nil {
		return c, err
	}
	return c.Skip()
}
