package route

import (
	"slices"
	"strings"
	"testing"
)

func TestProtocolText(t *testing.T) {
	if got := ProtocolWords(); !slices.Equal(got, []string{"http1", "h2c"}) {
		t.Errorf("words %q", got)
	}
	for i, word := range ProtocolWords() {
		p := Protocol(i)
		text, err := p.MarshalText()
		if err != nil || string(text) != word || p.String() != word {
			t.Errorf("%d is %q, %q, %v", i, text, p, err)
		}
		back := Protocol(99)
		if err := back.UnmarshalText(text); err != nil || back != p {
			t.Errorf("%q is %v, %v", text, back, err)
		}
	}
	for _, word := range []string{"", "h2", "H2C", "http1 ", "protocol(2)"} {
		p := H2C
		if err := p.UnmarshalText([]byte(word)); err == nil || p != H2C {
			t.Errorf("%q was accepted as %v", word, p)
		}
	}
	if _, err := numProtocols.MarshalText(); err == nil || numProtocols.String() != "protocol(2)" {
		t.Errorf("a value that is none: %v, %v", numProtocols, err)
	}
}

func TestProtocolOfRules(t *testing.T) {
	table, problems := Compile([]Spec{{Service: "a"}, {Path: "/rpc", Service: "a", Protocol: H2C}}, nil)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for path, want := range map[string]Protocol{"/": HTTP1, "/rpc/x": H2C} {
		if r, ok := table.Match("any", path); !ok || r.Protocol != want {
			t.Errorf("%s: %v, want %v", path, r, want)
		}
	}
	_, problems = Compile([]Spec{{Service: "a", Protocol: 7}}, nil)
	if len(problems) != 1 || strings.Join(problems[0].Path, ".") != "routes.0.protocol" {
		t.Errorf("problems %v", problems)
	}
}
