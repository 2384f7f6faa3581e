package configs

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/policy"
)

// maxLatencyFile bounds the file of geo.latency: a million networks and more.
const maxLatencyFile = 64 << 20

// decodeLatency reads "geo.latency": a file, or a mapping with more.
func (f *file) decodeLatency(v value) {
	f.timed = true
	hysteresis := policy.DefaultHysteresis
	if v.Kind != yaml.Mapping {
		f.decodeLatencyFile(v, hysteresis)
		return
	}
	var name value
	f.object(v, inTable, func(key string, v value) {
		switch key {
		case "file":
			name = v
		case "hysteresis":
			hysteresis = f.margin(v)
		}
	})
	if !f.require(v, "file", "the table: a network on each line, with round-trip times in milliseconds: 192.0.2.0/24 eu-west=12 us-east=80.5") {
		f.decodeLatencyFile(name, hysteresis)
	}
}

// decodeLatencyFile reads the table that v names.
func (f *file) decodeLatencyFile(v value, hysteresis policy.Margin) {
	data, text, unchanged := f.openList(v, maxLatencyFile)
	if unchanged {
		f.spec.Latency = f.setting.previous.Definition.Policy.Latency
	}
	if data == nil {
		return
	}
	r := latencyReader{dataReader: *data}
	r.readLines(text, r.line)
	if !r.eachOnce(func(i int) netip.Prefix { return r.list[i].Prefix }) {
		return
	}
	f.spec.Latency = r.list
	if f.setting.previous != nil {
		policy.KeepBest(r.list, f.setting.previous.Definition.Policy.Latency, hysteresis)
	}
}

// A latencyReader reads a file of round-trip times. What it keeps holds on to nothing of the file's text.
type latencyReader struct {
	dataReader
	list []policy.LatencySpec
}

// line reads one line, a network and times after it: site=ms.
func (r *latencyReader) line(number, column int, network, rest string) {
	prefix, wrong := parsePrefix(network)
	if wrong != "" {
		r.dataProblem(r.path, number, column, r.key, wrong)
		return
	}
	l := policy.LatencySpec{Prefix: prefix}
	column += len(network)
	for {
		word, after := field(rest)
		if word == "" {
			break
		}
		at := column + strings.Index(rest, word)
		column, rest = at+len(word), after
		t, ok := r.time(number, at, word)
		if !ok {
			return
		}
		if slices.ContainsFunc(l.Times, func(x policy.SiteTime) bool { return x.Site == t.Site }) {
			r.dataProblem(r.path, number, at, r.key, fmt.Sprintf("site %q has two times", t.Site))
			return
		}
		l.Times = append(l.Times, t)
	}
	if len(l.Times) == 0 {
		r.dataProblem(r.path, number, column-len(network), r.key, "a network and times are expected on a line, such as 192.0.2.0/24 eu-west=12 us-east=80.5")
		return
	}
	r.list, r.lines = append(r.list, l), append(r.lines, int32(number))
}

// time reads a site and the round-trip time to it in milliseconds.
func (r *latencyReader) time(number, column int, word string) (t policy.SiteTime, ok bool) {
	site, text, ok := strings.Cut(word, "=")
	if !ok {
		r.dataProblem(r.path, number, column, r.key, fmt.Sprintf("%q is no time to a site in milliseconds, such as eu-west=12.5", clip(word)))
		return t, false
	}
	if t.Site, ok = r.sites[site]; !ok {
		r.unknownSite(number, column, site)
		return t, false
	}
	column += len(site) + 1
	ms, err := strconv.ParseFloat(text, 64)
	if !numberForm.MatchString(text) || err != nil && !math.IsInf(ms, 0) {
		r.dataProblem(r.path, number, column, r.key, fmt.Sprintf("a number of milliseconds is expected here, not %q", clip(text)))
		return t, false
	}
	if most := float64(policy.MaxRTT / time.Millisecond); ms < 0 || ms > most {
		r.dataProblem(r.path, number, column, r.key, fmt.Sprintf("%s is out of range; it is 0 to %v milliseconds", clip(text), most))
		return t, false
	}
	t.RTT = time.Duration(math.Round(ms * float64(time.Millisecond)))
	return t, true
}

// latency reads nothing, or a mapping with within.
func (f *file) latency(v value) policy.StageSpec {
	s := policy.Latency{Within: policy.DefaultWithin}
	if !f.timed {
		f.errorf(v, "latency needs round-trip times: name a file of them in geo.latency")
	}
	if v.Kind != yaml.Null {
		f.object(v, inLatency, func(_ string, v value) { s.Within = f.margin(v) })
	}
	return s
}

// margin reads how much times may differ: a share, a time, or one of each, of which the larger counts.
func (f *file) margin(v value) (m policy.Margin) {
	const want = "a share such as 10%, a time such as 5ms, or a list of both"
	shares, times := 0, 0
	if v.Kind == yaml.Null || v.Kind == yaml.Sequence && len(v.Items) == 0 {
		f.errorf(v, "%s is expected here", want)
	}
	for _, e := range v.elements() {
		switch {
		case !f.scalar(e, want):
		case e.Value == "0":
		case strings.HasSuffix(e.Value, "%"):
			m.Share, _ = f.share(e, 1)
			shares++
		case numberForm.MatchString(e.Value):
			f.errorf(e, "%s is expected here, not %s, which has no unit", want, quote(e))
		default:
			m.Time, _ = f.duration(e, 0, policy.MaxRTT)
			times++
		}
		if shares > 1 || times > 1 {
			f.errorf(e, "%s is expected here, not two of a kind", want)
			break
		}
	}
	return m
}
