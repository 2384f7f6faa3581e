package configs

import (
	"slices"
	"strings"
	"time"

	"github.com/meridian-gslb/meridian/configs/yaml"
	"github.com/meridian-gslb/meridian/policy"
)

// schedule reads a zone and windows of time.
func (f *file) schedule(v value) policy.StageSpec {
	var s policy.Schedule
	if v.Kind == yaml.Null {
		f.errorf(v, "a schedule needs windows: schedule: {windows: [{from: \"22:00\", to: \"06:00\", sites: us-east}]}")
		return s
	}
	f.object(v, inSchedule, func(key string, v value) {
		switch key {
		case "zone":
			s.Zone = f.timeZone(v)
		case "windows":
			for _, v := range f.list(v, "windows") {
				s.Windows = append(s.Windows, f.window(v))
			}
		}
	})
	return s
}

// timeZone reads the name of a time zone, as in "Europe/Dublin".
func (f *file) timeZone(v value) *time.Location {
	if !f.scalar(v, "the name of a time zone") {
		return nil
	}
	zone, err := time.LoadLocation(v.Value)
	if err != nil || v.Value == "" || v.Value == "Local" { // which is another one on each machine
		f.errorf(v, "%s is no time zone that this system knows; write UTC, or a name such as Europe/Dublin", quote(v))
		return nil
	}
	return zone
}

// window reads a window of time. What is wrong is taken for midnight.
func (f *file) window(v value) policy.Window {
	var w policy.Window
	from, to := false, false
	f.object(v, inWindow, func(key string, v value) {
		switch key {
		case "from":
			from = true
			if w.From = f.timeOfDay(v); w.From == 24*60 {
				f.errorf(v, "a window begins before the day ends: write 00:00")
			}
		case "to":
			to = true
			w.To = f.timeOfDay(v)
		case "days":
			w.Days = f.days(v)
		case "sites":
			w.Sites = f.siteList(v)
		}
	})
	if v.Kind == yaml.Mapping && (!from || !to) {
		f.errorf(v, "the window needs from and to, such as {from: \"22:00\", to: \"06:00\", sites: us-east}")
	}
	return w
}

// timeOfDay reads a time such as "22:00" as minutes; "24:00" is the end of the day.
func (f *file) timeOfDay(v value) int {
	if !f.scalar(v, "a time of the day") {
		return 0
	}
	text := v.Value
	if len(text) == len("22:00") && text[2] == ':' && !strings.ContainsFunc(text[:2]+text[3:], func(r rune) bool { return r < '0' || r > '9' }) {
		hour, minute := int(text[0]-'0')*10+int(text[1]-'0'), int(text[3]-'0')*10+int(text[4]-'0')
		if at := hour*60 + minute; minute < 60 && at <= 24*60 {
			return at
		}
	}
	f.errorf(v, "a time of the day from \"00:00\" to \"24:00\" is expected here, not %s", quote(v))
	return 0
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// days reads one day or a list of days.
func (f *file) days(v value) (set uint8) {
	for _, e := range v.elements() {
		if !f.scalar(e, "a day") {
			continue
		}
		i := slices.Index(weekdays, strings.ToLower(e.Value))
		if i < 0 {
			f.report(e.at, e.path, nearest(e.Value, weekdays), "a day is one of "+strings.Join(weekdays, ", ")+", not "+quote(e))
			continue
		}
		set |= 1 << i
	}
	return set
}
