package yaml

import (
	"bytes"
	"errors"
	"io"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Parse reads one document. Errors come in the order of the file. The Node is nil if the text is not YAML, or if it is beyond a
// limit; otherwise it is complete, even beside errors: those are of single values (an alias, a tag) and the Node has the text as
// it stands there. An empty document is a Null at 1:1.
func Parse(src []byte) (*Node, []Error) { return parse(src, MaxNodes) }

// parse is Parse with another limit of nodes.
func parse(src []byte, maxNodes int) (*Node, []Error) {
	if len(src) > MaxSize {
		return nil, []Error{{Pos{1, 1}, "the file is larger than 4 MiB"}}
	}
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	if e, ok := checkText(src); !ok {
		return nil, []Error{e}
	}
	doc, e, ok := decode(src)
	if !ok {
		return nil, []Error{e}
	}
	if doc == nil {
		return &Node{Kind: Null, Pos: Pos{1, 1}}, nil
	}
	r := &reader{rest: src, at: Pos{1, 1}, maxNodes: maxNodes}
	root := r.node(doc, Pos{1, 1}, 0)
	if r.stop {
		return nil, r.errs
	}
	return root, r.errs
}

// checkText refuses what is not text, and line ends of which the library and an editor could think differently.
func checkText(src []byte) (Error, bool) {
	pos := Pos{1, 1}
	for i := 0; i < len(src); {
		c, n := utf8.DecodeRune(src[i:])
		switch {
		case c == utf8.RuneError && n == 1:
			return Error{pos, "this is not UTF-8 text"}, false
		case c == '\r' && (i+1 == len(src) || src[i+1] != '\n'):
			return Error{pos, "a carriage return without a line feed"}, false
		case c == 0x85, c == 0x2028, c == 0x2029:
			return Error{pos, "an invisible line separator; write a line feed, or an escape in double quotes"}, false
		case c < ' ' && c != '\n' && c != '\t' && c != '\r', c >= 0x7f && c < 0xa0, c == 0xfffe, c == 0xffff:
			return Error{pos, "a control character; write it as an escape in double quotes"}, false
		case c == '\n':
			pos = Pos{pos.Line + 1, 1}
		default:
			pos.Col++
		}
		i += n
	}
	return Error{}, true
}

// decode returns the library's tree of the one document in src, nil if src has none.
func decode(src []byte) (*yaml.Node, Error, bool) {
	in := &feed{text: src}
	dec := yaml.NewDecoder(in)
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, Error{}, true
	} else if err != nil {
		return nil, syntaxError(src, err, in.lines), false
	}
	if err := dec.Decode(&second); err == nil {
		return nil, Error{posOf(&second), "a second document begins here; a file holds one"}, false
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(src, err, in.lines), false
	}
	return doc.Content[0], Error{}, true
}

// A feed gives the library an empty line, then the text line by line. The library says "line 0" for "I do not know", so nothing may
// stand there; and how far it came shows where it failed, which it does not always say.
type feed struct {
	text  []byte
	lines int // of text, begun so far
	begun bool
	mid   bool // the last line is not at its end
}

// Read implements io.Reader.
func (f *feed) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !f.begun {
		f.begun = true
		p[0] = '\n'
		return 1, nil
	}
	if len(f.text) == 0 {
		return 0, io.EOF
	}
	if !f.mid {
		f.lines++
	}
	line := f.text
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i+1]
	}
	n := copy(p, line)
	f.mid = n < len(line)
	f.text = f.text[n:]
	return n, nil
}

// posOf returns where a node of the library begins: a line less than it thinks, for the empty one it was given.
func posOf(n *yaml.Node) Pos { return Pos{n.Line - 1, n.Column} }

// A reader turns the library's tree into ours and refuses what we do not read.
type reader struct {
	rest  []byte // the source from at on; nodes come in its order
	at    Pos
	nodes int
	errs  []Error
	stop  bool // a limit is hit: there is no tree

	maxNodes int
}

// node returns n. It stands inside depth collections; empty is where to point at it if it is written as nothing.
func (r *reader) node(n *yaml.Node, empty Pos, depth int) *Node {
	out := &Node{Pos: posOf(n), Flow: n.Style&yaml.FlowStyle != 0}
	collection := n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode
	switch r.nodes++; {
	case r.nodes > r.maxNodes:
		r.halt(out.Pos, "more than a million values in one file")
	case collection && depth == MaxDepth:
		r.halt(out.Pos, tooDeep)
	}
	if r.stop {
		return out
	}
	if n.Anchor != "" {
		r.refuse(out.Pos, noAnchors)
	}
	if n.Style&yaml.TaggedStyle != 0 {
		r.refuse(out.Pos, noTags)
	}
	switch n.Kind {
	case yaml.MappingNode:
		out.Kind = Mapping
		for i := 0; i+1 < len(n.Content) && !r.stop; i += 2 {
			key := r.key(n.Content[i], out.Pos, depth+1)
			out.Pairs = append(out.Pairs, Pair{key, r.node(n.Content[i+1], key.Pos, depth+1)})
		}
	case yaml.SequenceNode:
		out.Kind = Sequence
		for i := 0; i < len(n.Content) && !r.stop; i++ {
			item := posOf(n.Content[i])
			out.Items = append(out.Items, r.node(n.Content[i], Pos{item.Line, max(1, item.Col-1)}, depth+1)) // the dash
		}
	case yaml.AliasNode:
		r.refuse(out.Pos, noAnchors)
		out.Value = "*" + n.Value
	default:
		r.scalar(out, n, empty)
	}
	return out
}

// key returns a key: always a Scalar, for as a key null is a word like any other.
func (r *reader) key(n *yaml.Node, parent Pos, depth int) *Node {
	switch n.Kind {
	case yaml.MappingNode, yaml.SequenceNode:
		r.refuse(posOf(n), "a key is a single word, not a list or mapping")
		return &Node{Kind: Scalar, Pos: posOf(n)}
	}
	key := r.node(n, parent, depth)
	if key.Kind == Null && key.Value == "" {
		r.refuse(key.Pos, "a key is missing before the colon")
	}
	key.Kind = Scalar
	return key
}

// scalar fills out with what is written in n.
func (r *reader) scalar(out *Node, n *yaml.Node, empty Pos) {
	out.Value = n.Value
	out.Quoted = n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	if out.Quoted {
		return
	}
	switch n.Value {
	case "":
		out.Kind, out.Pos = Null, empty
		return
	case "~", "null", "Null", "NULL":
		out.Kind = Null
	}
	if n.Anchor != "" || n.Style&yaml.TaggedStyle != 0 {
		return // the text stands somewhere behind those
	}
	// Text without quotes stands in the file as it is, unless lines were folded into it.
	switch text := r.textAt(out.Pos); {
	case bytes.HasPrefix(text, []byte(n.Value)):
	case bytes.HasPrefix(text, []byte("!")):
		r.refuse(out.Pos, noTags)
	default:
		r.refuse(out.Pos, "text without quotes ends with its line, but this goes on in the next: put it in quotes, or is a comma, dash or colon missing?")
	}
}

const (
	noAnchors = "anchors and aliases are not supported: write the value out; text that begins with & or * needs quotes"
	tooDeep   = "nested deeper than 64 levels"
	noTags    = "tags are not supported: leave it out; text that begins with ! needs quotes"
)

// textAt returns the source from pos on, which must not lie before the pos of an earlier call.
func (r *reader) textAt(pos Pos) []byte {
	for r.at.Line < pos.Line {
		i := bytes.IndexByte(r.rest, '\n')
		if i < 0 {
			return nil
		}
		r.rest, r.at = r.rest[i+1:], Pos{r.at.Line + 1, 1}
	}
	for r.at.Col < pos.Col && len(r.rest) > 0 {
		_, n := utf8.DecodeRune(r.rest)
		r.rest, r.at.Col = r.rest[n:], r.at.Col+1
	}
	return r.rest
}

func (r *reader) refuse(at Pos, msg string) {
	if len(r.errs) < MaxErrors {
		r.errs = append(r.errs, Error{at, msg})
	}
}

func (r *reader) halt(at Pos, msg string) {
	r.stop, r.errs = true, []Error{{at, msg}}
}
