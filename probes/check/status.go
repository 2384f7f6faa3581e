package check

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// DefaultStatus is the set of status codes that mean success when none is configured: a redirect is an answer too.
const DefaultStatus = "200-399"

// A StatusSet is a set of final HTTP status codes, 200 to 599. The zero StatusSet is DefaultStatus. It never changes.
type StatusSet struct {
	ranges []statusRange
	text   string
}

type statusRange struct{ first, last int }

// ParseStatus reads codes and ranges separated by commas, e.g. "200, 204, 300-399". The empty string is DefaultStatus.
func ParseStatus(s string) (StatusSet, error) {
	if strings.TrimSpace(s) == "" {
		return StatusSet{}, nil
	}
	var set StatusSet
	var texts []string
	for part := range strings.SplitSeq(s, ",") {
		r, err := parseStatusRange(strings.TrimSpace(part))
		if err != nil {
			return StatusSet{}, err
		}
		set.ranges = append(set.ranges, r)
		texts = append(texts, r.String())
	}
	set.text = strings.Join(texts, ",")
	return set, nil
}

func parseStatusRange(s string) (statusRange, error) {
	if s == "" {
		return statusRange{}, errors.New(`empty entry in the list of status codes; write e.g. "200-399,401"`)
	}
	from, to, isRange := strings.Cut(s, "-")
	first, err := parseCode(strings.TrimSpace(from))
	if err != nil {
		return statusRange{}, err
	}
	if !isRange {
		return statusRange{first, first}, nil
	}
	last, err := parseCode(strings.TrimSpace(to))
	if err != nil {
		return statusRange{}, err
	}
	if last < first {
		return statusRange{}, fmt.Errorf("status range %d-%d is backwards", first, last)
	}
	return statusRange{first, last}, nil
}

// parseCode accepts exactly three digits: strconv alone would also take "+20".
func parseCode(s string) (int, error) {
	code, err := strconv.ParseUint(s, 10, 16)
	if err != nil || len(s) != 3 || code < 200 || code > 599 {
		return 0, fmt.Errorf("%q is not a status code of a final response (200-599)", s)
	}
	return int(code), nil
}

// Contains reports whether code is in the set.
func (s StatusSet) Contains(code int) bool {
	if s.ranges == nil {
		return 200 <= code && code <= 399
	}
	for _, r := range s.ranges {
		if r.first <= code && code <= r.last {
			return true
		}
	}
	return false
}

// String returns the set in the form that ParseStatus reads, without spaces.
func (s StatusSet) String() string {
	if s.ranges == nil {
		return DefaultStatus
	}
	return s.text
}

func (r statusRange) String() string {
	if r.first == r.last {
		return strconv.Itoa(r.first)
	}
	return strconv.Itoa(r.first) + "-" + strconv.Itoa(r.last)
}
