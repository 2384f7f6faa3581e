package guard

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// A judge decides what is believed. It reads no clock and does no I/O.
type judge struct {
	last  registry.Catalog // in force
	known bool             // there is a last
	empty map[string]time.Time
	since time.Time // since when too much is lost; zero: it is not
	lost  int
	had   int
}

// held says what is not believed; "" if all is.
func (j *judge) held() string {
	switch {
	case !j.since.IsZero():
		return fmt.Sprintf("%d of its %d endpoints are gone at once, since %s", j.lost, j.had, j.since.Format(time.RFC3339))
	case len(j.empty) > 0:
		names := slices.Sorted(maps.Keys(j.empty))
		more := ""
		if len(names) > 3 {
			names, more = names[:3], fmt.Sprintf(" and %d more", len(names)-3)
		}
		return fmt.Sprintf("nothing is left of %s%s, since %s", strings.Join(names, ", "), more, j.empty[names[0]].Format(time.RFC3339))
	}
	return ""
}

// judge returns what is to be in force when a source says got, whether that is something else than was, and when to ask again if the source
// says nothing new; zero: never. Services that got does not have are those of which the source knows nothing yet.
func (j *judge) judge(got registry.Catalog, wants func(string) bool, rules Rules, confirm bool, now time.Time) (out registry.Catalog, news bool, until time.Time) {
	had, lost := 0, 0
	empty := map[string]time.Time{}
	next := registry.Catalog{Services: map[string][]policy.EndpointSpec{}, States: map[string]policy.State{}, Refused: got.Refused}
	for service, list := range got.Services {
		take(&next, got, service, list)
	}
	for service, before := range j.last.Services {
		after, told := got.Services[service]
		switch {
		case !wants(service):
			continue
		case !told:
			take(&next, j.last, service, before)
			continue
		}
		had += len(before)
		lost += missing(before, after)
		if len(before) > 0 && len(after) == 0 && rules.MaxLoss < 1 && !confirm {
			since, ok := j.empty[service]
			if !ok {
				since = now
			}
			if rules.Hold > 0 && now.Sub(since) >= rules.Hold {
				continue
			}
			empty[service] = since
			take(&next, j.last, service, before)
			until = earlier(until, since, rules.Hold)
		}
	}
	freeze := j.known && !confirm && lost > 1 && float64(lost) > rules.MaxLoss*float64(had)
	if freeze && j.since.IsZero() {
		j.since = now
	}
	if freeze && rules.Hold > 0 && now.Sub(j.since) >= rules.Hold {
		freeze = false
	}
	if freeze {
		j.lost, j.had, j.empty = lost, had, nil
		next, until = only(j.last, wants), earlier(time.Time{}, j.since, rules.Hold)
	} else {
		j.since, j.empty = time.Time{}, empty
	}
	news = !j.known || !reflect.DeepEqual(j.last, next)
	j.last, j.known = next, true
	return next, news, until
}

// take adds a service of another Catalog.
func take(c *registry.Catalog, from registry.Catalog, service string, list []policy.EndpointSpec) {
	c.Services[service] = list
	for i := range list {
		name := service + "/" + list[i].Name
		if state, ok := from.States[name]; ok {
			c.States[name] = state
		}
	}
}

// only returns what a Catalog has of the services that are wanted.
func only(c registry.Catalog, wants func(string) bool) registry.Catalog {
	out := registry.Catalog{Services: map[string][]policy.EndpointSpec{}, States: map[string]policy.State{}, Refused: c.Refused}
	for service, list := range c.Services {
		if wants(service) {
			take(&out, c, service, list)
		}
	}
	return out
}

// earlier returns the earlier of a time, if it is one, and the end of a hold.
func earlier(t, since time.Time, hold time.Duration) time.Time {
	if end := since.Add(hold); hold > 0 && (t.IsZero() || end.Before(t)) {
		return end
	}
	return t
}

// missing counts the endpoints that are not in the second list, by name.
func missing(before, after []policy.EndpointSpec) (n int) {
	names := make(map[string]bool, len(after))
	for i := range after {
		names[after[i].Name] = true
	}
	for i := range before {
		if !names[before[i].Name] {
			n++
		}
	}
	return n
}
