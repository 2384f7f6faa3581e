package configs

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// maxShown is how many problems an Errors shows; maxKept how many are collected, so that a hopeless file costs no memory.
const (
	maxShown = 100
	maxKept  = 2000
)

// A Problem is one thing in a configuration file that is wrong, or (as a warning) that is probably not meant. It is a value.
type Problem struct {
	File       string `json:"file"`
	Line       int    `json:"line"`                 // from 1
	Column     int    `json:"column"`               // from 1, in characters
	Path       string `json:"path"`                 // the key it belongs to, e.g. services.web.endpoints[0].port; "" is the whole file
	Message    string `json:"message"`              // lower case; says what is wrong and what would be right
	Suggestion string `json:"suggestion,omitempty"` // the word that was probably meant
	Source     string `json:"source,omitempty"`     // the line as it stands in the file, shortened around the column if it is long
	caret      int    // characters before the column in Source
}

// String returns the problem in three lines: place, key and message; the source line; a caret under the column.
func (p Problem) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Suggestion != "" {
		fmt.Fprintf(&b, " (did you mean %q?)", p.Suggestion)
	}
	if p.Source != "" {
		fmt.Fprintf(&b, "\n%6d | %s\n       | %s^", p.Line, p.Source, strings.Repeat(" ", p.caret))
	}
	return b.String()
}

// Errors is everything wrong with one file, in the order of its lines. The error of Load and Parse is always an *Errors.
type Errors struct {
	Problems []Problem // the first 100
	Total    int       // how many there are
}

// Error returns all problems, one after the other, and how many were left out.
func (e *Errors) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	if more := e.Total - len(e.Problems); more > 0 {
		fmt.Fprintf(&b, "\n… and %d more", more)
	}
	return b.String()
}

// MarshalJSON returns {"total": n, "problems": [{"file", "line", "column", "path", "message", "suggestion", "source"}, …]}.
func (e *Errors) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Total    int       `json:"total"`
		Problems []Problem `json:"problems"`
	}{e.Total, e.Problems})
}

// newErrors returns nil if there are no problems.
func newErrors(l *problemList) error {
	if l.total == 0 {
		return nil
	}
	ps := l.sorted()
	return &Errors{Problems: ps[:min(len(ps), maxShown)], Total: l.total}
}

// problemList collects problems; the same one twice counts once.
type problemList struct {
	list  []Problem
	seen  map[Problem]bool
	total int
}

func (l *problemList) add(p Problem) {
	if l.seen[p] {
		return
	}
	l.total++
	if len(l.list) == maxKept {
		return
	}
	if l.seen == nil {
		l.seen = map[Problem]bool{}
	}
	l.seen[p] = true
	l.list = append(l.list, p)
}

func (l *problemList) sorted() []Problem {
	slices.SortStableFunc(l.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return l.list
}

// excerpt returns a source line fit to be shown, at most about width characters around the column, and how many characters stand
// before the column in it.
func excerpt(line string, col int) (text string, caret int) {
	const width = 110
	runes := []rune(strings.TrimRight(line, " \t\r"))
	for i, r := range runes {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			runes[i] = ' '
		}
	}
	caret = min(max(col-1, 0), len(runes))
	if len(runes) <= width {
		return string(runes), caret
	}
	from := max(0, min(caret-width/2, len(runes)-width))
	to := min(from+width, len(runes))
	text, caret = string(runes[from:to]), caret-from
	if from > 0 {
		text, caret = "…"+text, caret+1
	}
	if to < len(runes) {
		text += "…"
	}
	return text, caret
}
