package zonefile

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// generate reads $GENERATE first-last[/step] owner [TTL] [class] type RDATA, as BIND has it: one record for each number of the
// range, "$" in owner and RDATA standing for the number, "${offset,width,base}" for it plus an offset, padded with zeros, in base
// d, o, x, X, n or N (hexadecimal nibbles in reverse, divided by dots); "$$" and "\$" are a dollar.
func (f *file) generate(e *entry) error {
	if len(e.tokens) < 5 {
		return errors.New("$GENERATE takes a range, an owner, a type and a value")
	}
	first, last, step, ok := parseRange(string(e.word(1)))
	if !ok {
		return fmt.Errorf("%q is not a range such as 1-100 or 1-100/2", e.word(1))
	}
	if f.generated += int((last-first)/step) + 1; f.generated > MaxGenerate {
		return fmt.Errorf("$GENERATE makes more than %d records", MaxGenerate)
	}
	// A value that is one quoted string is quoted for the blanks in it, whatever its type.
	whole := len(e.tokens) - 1
	if _, isType := typeOf(e.word(whole - 1)); !isType || e.tokens[whole-1].quoted {
		whole = -1
	}
	made := entry{line: e.line}
	var line []byte
	for n := first; n <= last && !f.full(); n += step {
		line = line[:0]
		for i := 2; i < len(e.tokens); i++ {
			quoted := e.tokens[i].quoted && i != whole
			line = mark(line, quoted)
			var err error
			if line, err = substitute(line, e.word(i), n); err != nil {
				return err
			}
			line = append(mark(line, quoted), ' ')
			if len(line) > MaxEntry {
				return errTooLong
			}
		}
		if f.made += len(line); f.made > MaxMade {
			return fmt.Errorf("$GENERATE makes more than %d MiB of records; make fewer, or shorter ones", MaxMade>>20)
		}
		made.reset()
		if err := made.cut(line); err != nil {
			return err
		}
		if made.depth != 0 || len(made.tokens) == 0 {
			return errOpen
		}
		if err := f.record(&made); err != nil {
			return fmt.Errorf("for %d: %w", n, err)
		}
	}
	return nil
}

// mark appends a quote, if there is to be one.
func mark(dst []byte, quoted bool) []byte {
	if quoted {
		return append(dst, '"')
	}
	return dst
}

// parseRange reads first-last[/step], all of at most 31 bits.
func parseRange(text string) (first, last, step int64, ok bool) {
	bounds, by, hasStep := bytes.Cut([]byte(text), []byte("/"))
	from, to, hasTo := bytes.Cut(bounds, []byte("-"))
	step = 1
	number := func(b []byte) int64 {
		n, err := strconv.ParseUint(string(b), 10, 31)
		if err != nil {
			ok = false
		}
		return int64(n)
	}
	ok = hasTo
	first, last = number(from), number(to)
	if hasStep {
		step = number(by)
	}
	return first, last, step, ok && first <= last && step >= 1
}

// substitute appends text with the number in place of every "$".
func substitute(dst, text []byte, n int64) ([]byte, error) {
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			dst = append(dst, c, text[i+1])
			i++
		case c != '$':
			dst = append(dst, c)
		case i+1 < len(text) && text[i+1] == '$':
			dst = append(dst, '$')
			i++
		case i+1 < len(text) && text[i+1] == '{':
			size := bytes.IndexByte(text[i:], '}')
			if size < 0 {
				return dst, fmt.Errorf("%q has a ${ that is not closed", text)
			}
			var err error
			if dst, err = appendNumber(dst, string(text[i+2:i+size]), n); err != nil {
				return dst, err
			}
			i += size
		default:
			dst = strconv.AppendInt(dst, n, 10)
		}
	}
	return dst, nil
}

// maxWidth bounds what a number is padded to: a name is no longer.
const maxWidth = 255

// appendNumber appends a number as "offset[,width[,base]]" demands.
func appendNumber(dst []byte, form string, n int64) ([]byte, error) {
	parts := bytes.Split([]byte(form), []byte(","))
	width, base := 0, byte('d')
	offset, err := strconv.ParseInt(string(parts[0]), 10, 32)
	if len(parts) > 1 && err == nil {
		width, err = strconv.Atoi(string(parts[1]))
	}
	if len(parts) == 3 && len(parts[2]) == 1 {
		base = parts[2][0]
	} else if len(parts) > 2 {
		base = 0
	}
	value := n + offset
	if err != nil || width < 0 || width > maxWidth {
		base = 0
	}
	if base != 0 && value < 0 {
		return dst, fmt.Errorf("${%s} is %d for %d; it must not be negative", form, value, n)
	}
	switch base {
	case 'd':
		return fmt.Appendf(dst, "%0*d", width, value), nil
	case 'o':
		return fmt.Appendf(dst, "%0*o", width, value), nil
	case 'x':
		return fmt.Appendf(dst, "%0*x", width, value), nil
	case 'X':
		return fmt.Appendf(dst, "%0*X", width, value), nil
	case 'n':
		return appendNibbles(dst, value, width, "0123456789abcdef"), nil
	case 'N':
		return appendNibbles(dst, value, width, "0123456789ABCDEF"), nil
	}
	return dst, fmt.Errorf("${%s} is not of the form ${offset,width,base}, the base one of d, o, x, X, n and N", form)
}

// appendNibbles appends a number in hexadecimal, the lowest nibble first, divided by dots, which count for the width.
func appendNibbles(dst []byte, value int64, width int, digits string) []byte {
	for {
		dst = append(dst, digits[value&15])
		value >>= 4
		width--
		if value == 0 && width <= 0 {
			return dst
		}
		dst = append(dst, '.')
		if width--; value == 0 && width <= 0 {
			return dst
		}
	}
}
