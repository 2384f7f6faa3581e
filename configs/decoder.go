package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/meridian-gslb/meridian/configs/yaml"
)

// A decoder walks the tree of one file and collects what is wrong with it. Its methods never stop at a problem: they report it
// and return a value that is good enough to go on with.
type decoder struct {
	file     string
	lines    []string
	errors   problemList
	warnings problemList
	blamed   map[string]bool   // paths of errors
	held     map[string]bool   // paths of what directly holds an error
	meant    map[string]bool   // paths of keys that an unknown key was probably meant to be
	unread   map[yaml.Pos]bool // places that could not be read; what they mean is not worth a second error
}

// A value is a node and the way that leads to it.
type value struct {
	*yaml.Node
	at   yaml.Pos // where to point at what stands there: a block is pointed at by its key
	key  yaml.Pos // where to point at the thing as a whole: any collection is pointed at by its key
	path *step
}

// A step is one key or list position on the way from the root, nil at the root.
type step struct {
	up    *step
	key   string
	index bool // key is a position in a list
}

// String returns the way as a person writes it: services.web.endpoints[0].port.
func (s *step) String() string {
	var b strings.Builder
	for _, s := range s.all() {
		switch {
		case s.index:
			b.WriteString("[" + s.key + "]")
		case s.key == "" || strings.ContainsAny(s.key, ". []\":/"):
			b.WriteString("[" + strconv.Quote(s.key) + "]")
		case b.Len() > 0:
			b.WriteString("." + s.key)
		default:
			b.WriteString(s.key)
		}
	}
	return b.String()
}

// all returns the steps from the root on.
func (s *step) all() []*step {
	var steps []*step
	for ; s != nil; s = s.up {
		steps = append(steps, s)
	}
	slices.Reverse(steps)
	return steps
}

// child returns the value of a key of v.
func (v value) child(p yaml.Pair) value {
	at, key := p.Value.Pos, p.Value.Pos
	if p.Value.Kind == yaml.Mapping || p.Value.Kind == yaml.Sequence {
		if key = p.Key.Pos; !p.Value.Flow {
			at = key
		}
	}
	return value{p.Value, at, key, &step{v.path, p.Key.Value, false}}
}

// item returns the value at a position of the list v.
func (v value) item(i int) value {
	return value{v.Items[i], v.Items[i].Pos, v.Items[i].Pos, &step{v.path, strconv.Itoa(i), true}}
}

// elements returns the items of a list, or v itself if it is a single value: "x" means [x].
func (v value) elements() []value {
	if v.Kind != yaml.Sequence {
		return []value{v}
	}
	items := make([]value, len(v.Items))
	for i := range items {
		items[i] = v.item(i)
	}
	return items
}

// errorf reports that v is wrong.
func (d *decoder) errorf(v value, format string, args ...any) {
	d.report(v.at, v.path, "", fmt.Sprintf(format, args...))
}

// report adds an error at a place.
func (d *decoder) report(at yaml.Pos, path *step, suggestion, msg string) {
	if d.unread[at] {
		return
	}
	if len(d.errors.list) == maxKept { // hopeless: only count
		d.errors.total++
		return
	}
	d.errors.add(d.problem(at, path, suggestion, msg))
	d.blamed[path.String()] = true
	if path != nil {
		d.held[path.up.String()] = true
	}
}

// warnf adds a warning at a place.
func (d *decoder) warnf(at yaml.Pos, path *step, format string, args ...any) {
	d.warnings.add(d.problem(at, path, "", fmt.Sprintf(format, args...)))
}

func (d *decoder) problem(at yaml.Pos, path *step, suggestion, msg string) Problem {
	p := Problem{File: d.file, Line: at.Line, Column: at.Col, Path: path.String(), Message: msg, Suggestion: suggestion}
	if at.Line <= len(d.lines) {
		p.Source, p.caret = excerpt(d.lines[at.Line-1], at.Col)
	}
	return p
}

// plainKey is how a key is written.
var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// entries returns the keys and values of a mapping. A key that repeats is an error and left out. Nothing is an empty mapping.
func (d *decoder) entries(v value) []yaml.Pair {
	switch v.Kind {
	case yaml.Null:
		return nil
	case yaml.Mapping:
	default:
		if key, value, ok := strings.Cut(v.Value, ":"); ok && v.Kind == yaml.Scalar && !v.Quoted && plainKey.MatchString(key) && value != "" {
			d.errorf(v, "a mapping (key: value) is expected here; a space is missing behind the colon: %s: %s", key, clip(value))
			return nil
		}
		d.errorf(v, "a mapping (key: value) is expected here, not %s", v.Kind)
		return nil
	}
	first := make(map[string]int, len(v.Pairs))
	pairs := make([]yaml.Pair, 0, len(v.Pairs))
	for _, p := range v.Pairs {
		if line, ok := first[p.Key.Value]; ok {
			d.report(p.Key.Pos, &step{v.path, p.Key.Value, false}, "", fmt.Sprintf("this key stands here twice; the first is on line %d", line))
			continue
		}
		first[p.Key.Value] = p.Key.Pos.Line
		pairs = append(pairs, p)
	}
	return pairs
}

// object calls field with each key of the section that v has, in the order of the file. Other keys are errors. A list or mapping
// whose key is misspelt is read as what it was meant to be, so that what refers to it is not blamed too.
func (d *decoder) object(v value, s section, field func(key string, v value)) {
	known := s.keys()
	for _, p := range d.entries(v) {
		key := p.Key.Value
		if slices.Contains(known, key) {
			field(key, v.child(p))
			continue
		}
		path := &step{v.path, key, false}
		if instead := s.later(key); instead != "" {
			d.report(p.Key.Pos, path, "", "not supported by this version; "+instead)
			continue
		}
		if word, rest, ok := strings.Cut(key, ":"); ok && slices.Contains(known, word) && p.Value.Kind == yaml.Null {
			d.meant[(&step{v.path, word, false}).String()] = true
			d.report(p.Key.Pos, path, "", fmt.Sprintf("a space is missing behind the colon: %s: %s", word, clip(rest)))
			continue
		}
		similar := nearest(key, known)
		suggestion := similar
		if word, ok := s.synonyms()[strings.ToLower(key)]; ok {
			suggestion = word
		}
		d.meant[(&step{v.path, suggestion, false}).String()] = true
		msg := "unknown key"
		if suggestion == "" {
			msg += "; known here: " + strings.Join(known, ", ")
		}
		d.report(p.Key.Pos, path, suggestion, msg)
		if similar != "" && suggestion == similar && (p.Value.Kind == yaml.Mapping || p.Value.Kind == yaml.Sequence) && v.Get(suggestion) == nil {
			p.Key.Value = suggestion // in the tree, for all who look there later
			field(suggestion, v.child(p))
		}
	}
}

// list returns the items of a list. One that is missing its dash or brackets is an error.
func (d *decoder) list(v value, of string) []value {
	switch v.Kind {
	case yaml.Null:
		return nil
	case yaml.Sequence:
		return v.elements()
	}
	d.errorf(v, "a list of %s is expected here, not %s", of, v.Kind)
	return nil
}

// require reports that v has no value for a key it needs, unless that key seems to be there, misspelt.
func (d *decoder) require(v value, key, what string) (missing bool) {
	if (v.Kind == yaml.Mapping && v.Get(key) == nil || v.Kind == yaml.Null) && !d.meant[(&step{v.path, key, false}).String()] {
		d.report(v.key, v.path, "", fmt.Sprintf("%q is missing: %s", key, what))
		return true
	}
	return false
}

// requireBeside is require for a key that says nothing about those beside it: only the missing one is blamed, so that the rooms
// still say what they find in the others.
func (d *decoder) requireBeside(v value, key, what string) {
	if d.require(v, key, what) {
		delete(d.blamed, v.path.String())
		d.blamed[(&step{v.path, key, false}).String()] = true
	}
}

// reference checks that a word names something that exists.
func (d *decoder) reference(v value, what, word string, known names) {
	if word == "" || known.has[word] {
		return
	}
	if len(d.errors.list) == maxKept {
		d.errors.total++
		return
	}
	msg, suggestion := unknown(what, word, known)
	d.report(v.at, v.path, suggestion, msg)
}

// unknown says that a word names nothing that exists, and the word that was probably meant, "" if none is.
func unknown(what, word string, known names) (msg, suggestion string) {
	suggestion = nearest(word, known.list)
	msg = fmt.Sprintf("unknown %s %q", what, word)
	if suggestion == "" {
		if len(known.list) == 0 {
			msg += fmt.Sprintf("; the file defines no %s", what)
		} else {
			msg += "; there is " + abridge(known.list)
		}
	}
	return msg, suggestion
}

// names are the words that a kind of reference may use, in the order of the file.
type names struct {
	list []string
	has  map[string]bool
}

func (n *names) add(word string) {
	if n.has == nil {
		n.has = map[string]bool{}
	}
	if !n.has[word] {
		n.has[word] = true
		n.list = append(n.list, word)
	}
}

// oneOf returns the word if it is one of those known; otherwise it reports it and returns the first.
func (d *decoder) oneOf(v value, known ...string) string {
	word, ok := d.text(v)
	if ok && !slices.Contains(known, word) {
		msg := fmt.Sprintf("%q is not one of %s", word, strings.Join(known, ", "))
		if len(known) == 1 {
			msg = fmt.Sprintf("%q is not known here; the only word is %s", word, known[0])
		}
		d.report(v.at, v.path, nearest(word, known), msg)
		return known[0]
	}
	return word
}

// abridge lists some words.
func abridge(words []string) string {
	const most = 8
	if len(words) <= most {
		return strings.Join(words, ", ")
	}
	return strings.Join(words[:most], ", ") + ", …"
}
