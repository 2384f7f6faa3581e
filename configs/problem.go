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

// A Problem is one thing in a configuration file, or in a data file that it names, that is wrong, or (as a warning) that is probably
// not meant. It is a value.
type Problem struct {
	File       string `json:"file"`
	Line       int    `json:"line"`                 // from 1; 0 is a data file as a whole
	Column     int    `json:"column"`               // from 1, in characters; 0 is the line as a whole, of a data file
	Path       string `json:"path"`                 // the key it belongs to, e.g. services.web.endpoints[0].port; "" is the whole file
	Message    string `json:"message"`              // lower case; says what is wrong and what would be right
	Suggestion string `json:"suggestion,omitempty"` // the word that was probably meant
	Source     string `json:"source,omitempty"`     // the line as it stands in the file, shortened around the column if it is long
	caret      int    // characters before the column in Source
}

// String returns the problem in three lines: place, key and message; the source line; a caret under the column, if it has one.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File + ":")
	if p.Line > 0 {
		fmt.Fprintf(&b, "%d:", p.Line)
	}
	if p.Column > 0 {
		fmt.Fprintf(&b, "%d:", p.Column)
	}
	b.WriteByte(' ')
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Suggestion != "" {
		fmt.Fprintf(&b, " (did you mean %q?)", p.Suggestion)
	}
	if p.Source != "" {
		fmt.Fprintf(&b, "\n%6d | %s", p.Line, p.Source)
	}
	if p.Source != "" && p.Column > 0 {
		fmt.Fprintf(&b, "\n       | %s^", strings.Repeat(" ", p.caret))
	}
	return b.String()
}

// Errors is everything wrong with one file, in the order of its lines, and then with its data files. The error of Load and Parse is always an *Errors.
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

// problemsFound returns the errors as an *Errors, nil if there are none.
func (f *file) problemsFound() error {
	if f.errors.total == 0 {
		return nil
	}
	ps := f.errors.sorted()
	ps = ps[:min(len(ps), maxShown)]
	f.showLines(ps)
	return &Errors{Problems: ps, Total: f.errors.total}
}

// problemList collects problems; the same one twice counts once.
type problemList struct {
	main  string // the configuration file; its problems come before those of data files
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
	rank := func(p Problem) int {
		if p.File == l.main {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(l.list, func(a, b Problem) int {
		order := cmp.Or(rank(a)-rank(b), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		if order == 0 && rank(a) > 0 { // two that name the file: in whatever order they were read
			order = cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Message, b.Message))
		}
		return order
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
