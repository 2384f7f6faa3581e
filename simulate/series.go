package simulate

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// A Series is what came of a Scenario, step by step. Its JSON form is what programs are shown. It does not change.
type Series struct {
	Title    string   `json:"title"`
	Service  string   `json:"service"`
	Policy   string   `json:"policy"`
	Family   string   `json:"family"`
	Clients  int      `json:"clients"`
	Queries  float64  `json:"queries"` // a second, of all clients together
	Start    int64    `json:"start,omitempty"`
	Duration int64    `json:"duration"`  // seconds
	Step     int64    `json:"step"`      // seconds
	Sites    []string `json:"sites"`     // those at which the service has endpoints, in the order of the configuration; "" last: no site
	Targets  []string `json:"endpoints"` // of the service, in the order of the configuration
	Steps    []Step   `json:"steps"`
	Peaks    []Peak   `json:"peaks"` // by position in Sites
	Events   []Mark   `json:"events"`
}

// A Step is the state of things from one time to the next. Shares are of all queries, 0 to 1, to a millionth; those of Sites and
// Unanswered add up to 1, and so do those of Endpoints and Unanswered.
type Step struct {
	At         int64     `json:"at"`        // seconds since the first step
	Sites      []float64 `json:"sites"`     // by position in Series.Sites
	Endpoints  []float64 `json:"endpoints"` // by position in Series.Targets
	FailedOpen float64   `json:"failed_open"`
	Unanswered float64   `json:"unanswered"` // the answer had no endpoint
	Moved      int       `json:"moved"`      // clients who use another endpoint than in the step before, or with Spread another set of them
	MovedSite  int       `json:"moved_site"` // clients who use another site, or with Spread other parts of other sites
	Events     []string  `json:"events,omitempty"`
}

// A Peak is the most that a site had to take, and when first.
type Peak struct {
	Site     string  `json:"site"`
	Queries  float64 `json:"queries"` // a second
	At       int64   `json:"at"`      // seconds
	Capacity float64 `json:"capacity,omitempty"`
	Over     int64   `json:"over,omitempty"` // seconds above the capacity
}

// A Mark is an Event at the time it was to happen, which may be before the step that shows it.
type Mark struct {
	At   int64  `json:"at"` // seconds
	Text string `json:"text"`
}

// seconds returns a time as whole seconds.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// end returns the second at which step i ends.
func (s *Series) end(i int) int64 { return min(s.Steps[i].At+s.Step, s.Duration) }

// peaks fills in Peaks from Steps.
func (s *Series) peaks(capacity []Capacity) {
	for i, site := range s.Sites {
		p := Peak{Site: site}
		for _, c := range capacity {
			if c.Site == site {
				p.Capacity = c.Queries
			}
		}
		for k := range s.Steps {
			q := s.Steps[k].Sites[i] * s.Queries
			if q > p.Queries {
				p.Queries, p.At = q, s.Steps[k].At
			}
			if p.over(q) {
				p.Over += s.end(k) - s.Steps[k].At
			}
		}
		s.Peaks = append(s.Peaks, p)
	}
}

// over reports whether so many queries a second are more than the site can take. What may be rounding is not.
func (p *Peak) over(queries float64) bool { return p.Capacity > 0 && queries > p.Capacity*(1+1e-5) }

// round drops the digits of shares that are nothing but the order in which they were added up.
func (st *Step) round() {
	for _, list := range [][]float64{st.Sites, st.Endpoints} {
		for i := range list {
			list[i] = millionths(list[i])
		}
	}
	st.FailedOpen, st.Unanswered = millionths(st.FailedOpen), millionths(st.Unanswered)
}

func millionths(x float64) float64 { return math.Round(x*1e6) / 1e6 }

// By returns what is most worth showing shares of: sites, or endpoints if there is only one site.
func (s *Series) By() By { return By(len(s.Sites) < 2) }

// SiteName returns how a site of Sites is shown to people.
func SiteName(site string) string {
	if site == "" {
		return "no site"
	}
	return site
}

// When returns a time of the Series, in seconds since its first step, as people read it: the time of day in UTC if Start says when that is, with
// the day of the week if the Series is longer than a day, else the time that went by, such as "1h30m".
func (s *Series) When(at int64) string {
	if s.Start == 0 {
		return Span(at)
	}
	const day = 24 * 60 * 60
	now := s.Start + at
	clock := ((now % day) + day) % day
	text := fmt.Sprintf("%02d:%02d", clock/3600, clock/60%60)
	if s.Step%60 != 0 || s.Start%60 != 0 {
		text += fmt.Sprintf(":%02d", clock%60)
	}
	if s.Duration > day {
		days := [...]string{"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"} // 1 January 1970 was a Thursday
		text = days[((now-clock)/day%7+7)%7] + " " + text
	}
	return text
}

// Span returns a number of seconds, not negative, as people write them: "0", "45s", "1m30s", "2h".
func Span(at int64) string {
	if at == 0 {
		return "0"
	}
	var b strings.Builder
	for _, u := range []struct {
		seconds int64
		unit    string
	}{{3600, "h"}, {60, "m"}, {1, "s"}} {
		if n := at / u.seconds; n > 0 {
			b.WriteString(fmt.Sprintf("%d%s", n, u.unit))
			at -= n * u.seconds
		}
	}
	return b.String()
}
