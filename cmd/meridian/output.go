package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/mattn/go-isatty"
)

// print writes data as JSON, or by the function that shows it to a person.
func (c *cli) print(data any, table func(p *printer)) error {
	if c.format == "json" {
		return writeJSON(c.out, data)
	}
	p := &printer{w: c.out, color: colorful(c.out)}
	table(p)
	return p.err
}

func writeJSON(w io.Writer, data any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(data)
}

// colorful says whether colours help: on a terminal, unless NO_COLOR is set (no-color.org) or the terminal is dumb.
func colorful(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd()) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// A printer writes for people. The first error of the writer ends all output.
type printer struct {
	w     io.Writer
	color bool
	err   error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

// clean replaces control characters: reasons and errors come from elsewhere, and must neither break columns nor steer a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '\ufffd'
		}
		return r
	}, s)
}

// table writes rows in columns under a head.
func (p *printer) table(head []string, rows [][]string) {
	if len(rows) == 0 || p.err != nil {
		return
	}
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = clean(cell)
		}
		fmt.Fprintln(t, "  "+strings.Join(cells, "\t"))
	}
	t.Flush()
	for i, l := range strings.Split(strings.TrimRight(b.String(), "\n"), "\n") {
		l = strings.TrimRight(l, " ")
		if i == 0 {
			l = p.paint(bold, l)
		}
		p.line("%s", l)
	}
}

// section writes a table with an empty line above, or nothing if it has no rows.
func (p *printer) section(head []string, rows [][]string) {
	if len(rows) > 0 {
		p.line("")
		p.table(head, rows)
	}
}

// A shade is an ANSI attribute.
type shade string

const (
	bold   shade = "1"
	red    shade = "31"
	green  shade = "32"
	yellow shade = "33"
	faint  shade = "2"
)

// paint colours whole lines or words outside of tables, whose columns count bytes.
func (p *printer) paint(c shade, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + string(c) + "m" + s + "\x1b[0m"
}

func plural(n int, one string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, one)
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// dash stands for nothing in a table.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
