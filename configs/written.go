package configs

import (
	"strings"

	"github.com/meridian-gslb/meridian/configs/yaml"
)

// A Written is how a configuration file says something. It is a value.
type Written struct {
	File string
	Line int    // from 1; 0 = the file does not say it
	Text string // in one line, shortened if it is long; "" = the file does not say it
}

// Written returns how the file says a key, given as the way to it, e.g. "dns.listen". It reads the text again.
func (c *Config) Written(key string) Written {
	w := Written{File: c.name}
	n, _ := yaml.Parse([]byte(c.text))
	for word := range strings.SplitSeq(key, ".") {
		if n == nil {
			return w
		}
		w.Line = 0
		var value *yaml.Node
		for _, p := range n.Pairs {
			if p.Key.Value == word && value == nil {
				value, w.Line = p.Value, p.Key.Pos.Line
			}
		}
		n = value
	}
	switch {
	case n == nil:
	case n.Kind == yaml.Mapping && !strings.Contains(key, "."):
		w.Text = "a section" // as a whole it may hold secrets
	default:
		w.Text = clip(inline(n))
	}
	return w
}

// inline returns a node as it would be written in one line.
func inline(n *yaml.Node) string {
	var parts []string
	switch n.Kind {
	case yaml.Sequence:
		for _, item := range n.Items {
			parts = append(parts, inline(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case yaml.Mapping:
		for _, p := range n.Pairs {
			parts = append(parts, p.Key.Value+": "+inline(p.Value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return n.Value
}
