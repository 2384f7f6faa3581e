package registry

import "testing"

func TestPrintable(t *testing.T) {
	for _, s := range []string{"", "switch upgrade", "Umzug nach Zürich", "東京", "שלום", "a\u00a0b"} {
		if !Printable(s) {
			t.Errorf("%q is refused", s)
		}
	}
	for _, s := range []string{"\x1b[31mred", "a\nb", "a\x00", "\u202eabc", "\u2066x", "\u2028", "\u0085", "\xff"} {
		if Printable(s) {
			t.Errorf("%q passes", s)
		}
	}
	if err := CheckMeta(map[string]string{"k": "v\x1b"}); err == nil {
		t.Error("a value with an escape passes")
	}
	if err := CheckMeta(map[string]string{"k\n": "v"}); err == nil {
		t.Error("a key with a line feed passes")
	}
}
