package zonefile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// A token is a word of an entry. Its text is as it stands in the file, escapes included; of a quoted one without the quotes.
type token struct {
	start, end int // in entry.text
	quoted     bool
}

// An entry is a line, or what parentheses join to one, without comments (RFC 1035 5.1).
type entry struct {
	line   int  // its first
	indent bool // it begins with a blank: the owner is that of the record before
	text   []byte
	tokens []token
	depth  int // of parentheses
}

// A scanner cuts a file into entries.
type scanner struct {
	entry // at hand
	in    *bufio.Reader
	lines int    // read so far
	left  *int64 // bytes that may be read
}

var (
	errQuote   = errors.New("a quoted string does not end on its line")
	errOpen    = errors.New(`a "(" is never closed`)
	errClose   = errors.New(`a ")" closes nothing`)
	errEscape  = errors.New(`the line ends in a lone \`)
	errTooLong = fmt.Errorf("an entry is longer than %d bytes", MaxEntry)
	errTooMuch = fmt.Errorf("the zone file, with what it includes, is larger than %d bytes", MaxBytes)
)

func newScanner(r io.Reader, left *int64) *scanner {
	return &scanner{in: bufio.NewReaderSize(r, 32<<10), left: left}
}

// A fatal error ends the reading of a file.
type fatal struct{ error }

// next reads the next entry that has tokens. After an error that is not fatal it has read over the entry, so that the next one can
// be read. It returns io.EOF at the end.
func (s *scanner) next() error {
	s.reset()
	var bad error
	for {
		line, err := s.readLine()
		if err != nil && !errors.Is(err, io.EOF) {
			return fatal{err}
		}
		if len(line) == 0 && err != nil {
			switch {
			case bad != nil:
				return bad
			case s.depth > 0:
				return errOpen
			}
			return io.EOF
		}
		if s.depth == 0 {
			s.entry.line, s.indent = s.lines, line[0] == ' ' || line[0] == '\t'
		}
		if bad == nil {
			bad = s.cut(line)
		} else {
			s.depth = s.depthAfter(line)
		}
		if s.depth == 0 && (bad != nil || len(s.tokens) > 0) {
			return bad
		}
	}
}

// readLine returns the next line without its end. The slice is valid until the next call.
func (s *scanner) readLine() ([]byte, error) {
	line, err := s.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		whole := append([]byte(nil), line...)
		for errors.Is(err, bufio.ErrBufferFull) && len(whole) <= MaxEntry {
			line, err = s.in.ReadSlice('\n')
			whole = append(whole, line...)
		}
		line = whole
	}
	if *s.left -= int64(len(line)); *s.left < 0 {
		return nil, errTooMuch
	}
	s.lines++
	if len(line)+len(s.text) > MaxEntry {
		return nil, errTooLong
	}
	if n := len(line); n > 0 && line[n-1] == '\n' {
		if line = line[:n-1]; n > 1 && line[n-2] == '\r' {
			line = line[:n-2]
		}
		if len(line) == 0 {
			return blankLine, err // not the end of the file
		}
	}
	return line, err
}

var blankLine = []byte{' '}

func (e *entry) reset() { e.text, e.tokens, e.depth = e.text[:0], e.tokens[:0], 0 }

// cut appends the tokens of a line.
func (e *entry) cut(line []byte) error {
	for i := 0; i < len(line); {
		switch c := line[i]; c {
		case ' ', '\t', '\r':
			i++
		case ';':
			return nil
		case '(':
			e.depth++
			i++
		case ')':
			if e.depth == 0 {
				return errClose
			}
			e.depth--
			i++
		case '"':
			end := closing(line, i)
			if end < 0 {
				return errQuote
			}
			e.push(line[i+1:end], true)
			i = end + 1
		default:
			end, err := wordEnd(line, i)
			if err != nil {
				return err
			}
			e.push(line[i:end], false)
			i = end
		}
	}
	return nil
}

// depthAfter returns how deep parentheses are after a line of an entry that is read over.
func (e *entry) depthAfter(line []byte) int {
	depth := e.depth
	for i := 0; i < len(line) && line[i] != ';'; i++ {
		switch line[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			depth = max(depth-1, 0)
		}
	}
	return depth
}

func (e *entry) push(text []byte, quoted bool) {
	start := len(e.text)
	e.text = append(e.text, text...)
	e.tokens = append(e.tokens, token{start, len(e.text), quoted})
}

// closing returns where the quotes that open at i close, or -1.
func closing(line []byte, i int) int {
	for i++; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return -1
}

// wordEnd returns where the word that begins at i ends. Quotes inside a word, as in alpn="h2,h3", belong to it.
func wordEnd(line []byte, i int) (int, error) {
	for ; i < len(line); i++ {
		switch line[i] {
		case ' ', '\t', '\r', ';', '(', ')':
			return i, nil
		case '\\':
			if i++; i == len(line) {
				return 0, errEscape
			}
		case '"':
			if i = closing(line, i); i < 0 {
				return 0, errQuote
			}
		}
	}
	return i, nil
}

// word returns the text of a token.
func (e *entry) word(i int) []byte { return e.text[e.tokens[i].start:e.tokens[i].end] }
