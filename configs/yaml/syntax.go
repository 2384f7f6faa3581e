package yaml

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

var (
	atLine       = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	unknownAlias = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntaxError makes an Error of what the library reports, which is a message and mostly a line. The library has read the first
// lines of src, and perhaps not all of the last.
func syntaxError(src []byte, err error, lines int) Error {
	head := atLine.FindStringSubmatch(err.Error())
	msg := err.Error()[len(head[0]):]
	if m := unknownAlias.FindStringSubmatch(msg); m != nil {
		return Error{findAlias(src, m[1]), noAnchors}
	}
	line, _ := strconv.Atoi(head[1])
	if !slices.Contains(grammar, msg) {
		line-- // the scanner counts the empty line it was given; the grammar counts from 0 instead
	}
	if msg == notAKey || msg == notADash {
		line = stuckAt(src, err, lines, line) // the line said is the one on which the mapping or list begins
	}
	text := splitLines(src)
	for line = max(1, min(line, len(text))); line > 1 && isEmpty(text[line-1]); {
		line-- // the end of the file: point at the last line that has text
	}
	if pos, ok := spaceless(text, line, msg); ok {
		return Error{pos, noSpace}
	}
	a := advices[msg]
	switch {
	case strings.HasPrefix(msg, "exceeded max depth"):
		msg = tooDeep
	case (msg == notAList || msg == notAMap) && lines > line:
		msg = fmt.Sprintf("%s; this shows by line %d (%s)", a.hint, lines, msg)
	case a.hint != "":
		msg = a.hint + " (" + msg + ")"
	}
	return Error{Pos{line, column(text[line-1], a.find)}, msg}
}

// keyAndValue is a line that holds a key, a colon and a value without a space between.
var keyAndValue = regexp.MustCompile(`^[ \t]*(?:- +)*[A-Za-z_][A-Za-z0-9_.-]*(:)[^\s:/]`)

const noSpace = "a space is missing behind this colon; without it the line is text, not a key and a value"

// spaceless returns where a space is missing behind a colon, if that explains the error of a line: the line itself, or what stands right
// above it, is a key and a value without it. The library took that for text that goes on.
func spaceless(text [][]byte, line int, msg string) (pos Pos, found bool) {
	if msg != notAMapping && msg != notAColon {
		return Pos{}, false
	}
	for ; line > 0; line-- {
		if isEmpty(text[line-1]) {
			continue
		}
		shown, _ := bare(text[line-1])
		m := keyAndValue.FindSubmatchIndex(shown)
		if m == nil && (found || msg == notAColon) {
			break
		}
		if m != nil {
			pos, found = Pos{line, 1 + utf8.RuneCount(text[line-1][:m[2]])}, true
		} else {
			msg = notAColon // only the first line may be otherwise
		}
	}
	return pos, found
}

// stuckAt returns the line at which the library's grammar failed: the first line with which the error comes. That is the last one it
// read, or one right before it, for it looks a little ahead. first is where it cannot be before.
func stuckAt(src []byte, failed error, last, first int) int {
	const tries = 4 // each reads the file again
	text := splitLines(src)
	last = min(last, len(text))
	for range tries {
		for last > first && isEmpty(text[last-1]) {
			last--
		}
		if last <= first || !failsAlike(text[:last-1], failed) {
			break
		}
		last--
	}
	return max(last, first)
}

// failsAlike reports whether these lines alone give the same error.
func failsAlike(lines [][]byte, failed error) bool {
	err := yaml.NewDecoder(&feed{text: bytes.Join(lines, []byte("\n"))}).Decode(new(yaml.Node))
	return err != nil && err.Error() == failed.Error()
}

// findAlias returns where *name stands, outside comments and quotes; 1:1 if it does not.
func findAlias(src []byte, name string) Pos {
	for i, line := range splitLines(src) {
		text, _ := bare(line)
		for from := 0; ; {
			at := bytes.Index(text[from:], []byte("*"+name))
			if at < 0 {
				break
			}
			at += from
			from = at + 1 + len(name)
			begins := at == 0 || strings.IndexByte(" \t[{,", text[at-1]) >= 0
			ends := from == len(text) || strings.IndexByte(" \t\r,]}?:%@`", text[from]) >= 0
			if begins && ends {
				return Pos{i + 1, 1 + utf8.RuneCount(line[:at])}
			}
		}
	}
	return Pos{1, 1}
}

// column returns the column that find guesses in a line, else that of the line's first character.
func column(line []byte, find func(line []byte) int) int {
	at := -1
	if find != nil {
		at = find(line)
	}
	if at < 0 {
		at = len(line) - len(bytes.TrimLeft(line, " \t"))
	}
	return 1 + utf8.RuneCount(line[:at])
}

// bare returns a line with what stands in quotes and comments blanked out, and the offset of quotes that are not closed on it, or -1.
func bare(line []byte) (text []byte, open int) {
	text, open = bytes.Clone(line), -1
	for i := 0; i < len(text); i++ {
		c := text[i]
		begins := i == 0 || strings.IndexByte(" \t[{,:", text[i-1]) >= 0
		switch {
		case open >= 0 && i+1 < len(text) && (c == '\\' && line[open] == '"' || c == '\'' && line[open] == c && line[i+1] == c):
			text[i], text[i+1] = ' ', ' '
			i++
		case open >= 0 && c == line[open]:
			open = -1
			text[i] = '"'
		case open >= 0:
			text[i] = ' '
		case (c == '"' || c == '\'') && begins:
			open = i
		case c == '#' && (i == 0 || text[i-1] == ' ' || text[i-1] == '\t'):
			return text[:i], -1
		}
	}
	return text, open
}

// unclosed finds the last bracket of these kinds that is not closed on its line, else the first there is.
func unclosed(kinds string) func([]byte) int {
	return func(line []byte) int {
		text, _ := bare(line)
		var open []int
		for i, c := range text {
			switch {
			case c == '[' || c == '{':
				open = append(open, i)
			case (c == ']' || c == '}') && len(open) > 0:
				open = open[:len(open)-1]
			}
		}
		for _, i := range slices.Backward(open) {
			if strings.IndexByte(kinds, text[i]) >= 0 {
				return i
			}
		}
		return bytes.IndexAny(text, kinds)
	}
}

// either finds what the first finds, else what the second does.
func either(first, second func([]byte) int) func([]byte) int {
	return func(line []byte) int {
		if at := first(line); at >= 0 {
			return at
		}
		return second(line)
	}
}

// openQuote finds quotes that are not closed on their line.
func openQuote(line []byte) int {
	_, open := bare(line)
	return open
}

// match finds what a group of the pattern matches in a line without quotes and comments.
func match(pattern string) func([]byte) int {
	re := regexp.MustCompile(pattern)
	return func(line []byte) int {
		text, _ := bare(line)
		for i, at := range re.FindSubmatchIndex(text) {
			if i > 1 && at >= 0 {
				return at
			}
		}
		return -1
	}
}

func splitLines(src []byte) [][]byte { return bytes.Split(src, []byte("\n")) }

// isEmpty reports whether a line is blank or a comment.
func isEmpty(line []byte) bool {
	line = bytes.TrimSpace(line)
	return len(line) == 0 || line[0] == '#'
}

const (
	notAKey  = "did not find expected key"
	notADash = "did not find expected '-' indicator"
	notAList = "did not find expected ',' or ']'"
	notAMap  = "did not find expected ',' or '}'"
	notAnode = "did not find expected node content"

	notAMapping = "mapping values are not allowed in this context"
	notAColon   = "could not find expected ':'"
)

// grammar is what the library says of tokens in an order that means nothing; all else it says of characters.
var grammar = []string{notAKey, notADash, notAList, notAMap, notAnode, "did not find expected <document start>",
	"found duplicate %YAML directive", "found duplicate %TAG directive", "found incompatible YAML document", "found undefined tag handle"}

// advices say, for the messages that people meet, what to do and where in the line to look.
var advices = map[string]struct {
	hint string
	find func(line []byte) int // returns an offset, -1 if it cannot tell
}{
	notAKey: {"this line does not go on as those above it: keys beside each other are indented alike, and a value ends with its line, " +
		"its quotes or its brackets", nil},
	notADash: {"this line does not go on as the list above it: the items of a list are indented alike", nil},
	notAList: {`this "[" is never closed, or a comma or quotes are missing behind it`, unclosed("[")},
	notAMap:  {`this "{" is never closed, or a comma or quotes are missing behind it`, unclosed("{")},
	notAnode: {"a value is missing here, a bracket is never closed, or text needs quotes, as text that begins with a colon does inside brackets",
		either(match(`:\s+([\]},:])|[\[{,]\s*([,:])`), unclosed("[{"))},
	"did not find expected <document start>": {"the document above this line is complete; is the line indented as it should be?", nil},
	notAMapping: {`a line holds one "key: value", and keys beside each other are indented alike; text that contains ": " needs quotes`,
		match(`^[^\[{]*?:\s[^\[{]*?(:)(?:\s|$)`)},
	"block sequence entries are not allowed in this context": {"a list begins on a line of its own; or write it in brackets: [a, b]",
		match(`:\s+(-)(?:\s|$)`)},
	"found character that cannot start any token": {"indent with spaces, not tabs; text that begins with @, ` or % needs quotes",
		match("^ *(\t)|(?:^|[\\s\\[{,])([@`%|>])")},
	"found a tab character that violates indentation": {"indent with spaces", match("(\t)")},
	"did not find expected alphabetic or numeric character": {"text that begins with * or & needs quotes; anchors and aliases are not supported",
		match(`(?:^|[\s\[{,])([*&])`)},
	notAColon:                             {`a "key: value" is expected, with a space after the colon; a value over several lines needs quotes`, nil},
	"found incompatible YAML document":    {"remove the line that begins with %YAML", nil},
	"found unexpected end of stream":      {"the quotes that open here are never closed", openQuote},
	"found unexpected document indicator": {"the quotes that open here are not closed before it", openQuote},
	"did not find expected comment or line break": {"after | or > only -, + and one digit may stand; the text begins on the next line",
		match(`(?:^|[\s])([|>])`)},
	"found unknown escape character":          {`a backslash in double quotes begins an escape; write \\, or use single quotes`, badEscape},
	"did not find expected hexdecimal number": {`\x needs 2, \u 4 and \U 8 hexadecimal digits`, badEscape},
	"found undefined tag handle":              {noTags, match(`(?:^|[\s\[{,])(!)`)},
}

var escape = regexp.MustCompile(`\\(?:[0abt\tnvfre "'/\\N_LP]|x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|\r?$)|(\\)`)

// badEscape finds a backslash that begins no escape.
func badEscape(line []byte) int {
	for _, m := range escape.FindAllSubmatchIndex(line, -1) {
		if m[2] >= 0 {
			return m[2]
		}
	}
	return -1
}
