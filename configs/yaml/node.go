// Package yaml reads the part of YAML that configuration files need, into a tree that knows where everything stands. The work is
// done by go.yaml.in/yaml/v3; this package is what stands between it and a file that somebody else wrote.
//
// Read are: block and flow mappings and sequences; plain, quoted and block scalars; comments; one document. Refused, each at its
// place, are what would make a file mean something else than it seems to: anchors, aliases and tags, collections as keys, a
// second document, and plain text that runs over several lines, which is how a forgotten comma or colon looks. So nothing in a
// file can expand, and reading takes time and memory linear in its size.
//
// Of what is not YAML at all only the first mistake is reported, for the library stops there. It says the line; the column is a
// guess, and the first character of the line where there is nothing to guess by.
//
// Scalars stay text: what a scalar means is for the one who asks for a number, a duration or an address.
package yaml

import "fmt"

// The limits of one document. Beyond them Parse returns an Error and no tree.
const (
	MaxSize   = 4 << 20 // bytes
	MaxDepth  = 64      // collections inside each other
	MaxNodes  = 1 << 20 // scalars and collections
	MaxErrors = 100     // those after it are left out
)

// A Pos is a place in the source: line and column, both from 1. A column counts characters, not bytes.
type Pos struct{ Line, Col int }

// String returns "line:col".
func (p Pos) String() string { return fmt.Sprintf("%d:%d", p.Line, p.Col) }

// A Kind is what a Node is.
type Kind uint8

// The kinds of a Node.
const (
	Scalar   Kind = iota // text: plain, quoted or a block
	Null                 // nothing, ~ or null
	Mapping              // keys with values
	Sequence             // a list
)

// String returns the kind as a person calls it, with its article.
func (k Kind) String() string {
	switch k {
	case Scalar:
		return "a single value"
	case Null:
		return "nothing"
	case Mapping:
		return "a mapping"
	default:
		return "a list"
	}
}

// A Node is one value of a document. Parse builds it; after that it belongs to who called Parse.
type Node struct {
	Kind   Kind
	Quoted bool // a Scalar written in quotes or as a block: it is text even if it looks like a number
	Flow   bool // a collection written in brackets
	Pos    Pos  // its first character; of a Null that is written as nothing, the key (or dash) it belongs to
	Value  string
	Pairs  []Pair  // of a Mapping, in the order of the file; keys may repeat
	Items  []*Node // of a Sequence
}

// A Pair is one entry of a Mapping. Key is a Scalar.
type Pair struct{ Key, Value *Node }

// Get returns the first value of the key, nil if n has none or is no Mapping.
func (n *Node) Get(key string) *Node {
	for _, p := range n.Pairs {
		if p.Key.Value == key {
			return p.Value
		}
	}
	return nil
}

// An Error is one thing that cannot be read. Msg is lower case and says what would be right.
type Error struct {
	Pos Pos
	Msg string
}

// Error returns "line:col: message".
func (e Error) Error() string { return e.Pos.String() + ": " + e.Msg }
