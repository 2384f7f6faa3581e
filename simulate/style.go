package simulate

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// A paint is the colour of a band, and what is written on it, before a light ground and before a dark one.
type paint struct{ class, light, ink, dark, darkInk string }

// paints are the colours of bands. Those that touch differ in lightness too, so that they can be told apart without telling hues apart.
var paints = [...]paint{
	{"s0", "#2f6fdf", "#fff", "#4d8bf5", "#0c1016"},
	{"s1", "#f2a33a", "#1f2430", "#e0912a", "#0c1016"},
	{"s2", "#14866f", "#fff", "#27b598", "#0c1016"},
	{"s3", "#d98cc4", "#1f2430", "#d573b8", "#0c1016"},
	{"s4", "#6b57c8", "#fff", "#8a77e6", "#0c1016"},
	{"s5", "#a3c64f", "#1f2430", "#9cc24a", "#0c1016"},
	{"s6", "#c9493a", "#fff", "#ec7a6c", "#0c1016"},
	{"s7", "#6cc5e6", "#1f2430", "#5cc1e3", "#0c1016"},
	{"rest", "#a3abb8", "#1f2430", "#717b8a", "#0c1016"},
	{"none", "#e3e6eb", "#1f2430", "#2b323d", "#e6e9ef"},
}

// lightStyle and darkStyle are how all but the bands looks.
const (
	lightStyle = `text{font-family:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif;fill:#1f2430}
.title{font-size:15px;font-weight:600}.soft{font-size:12px;fill:#5b6472}.key{font-size:12px}.tick,.axis{font-size:11px;fill:#5b6472}
.event{font-size:11px;font-weight:500}.note{font-size:11px;font-weight:500;paint-order:stroke;stroke-width:3px;stroke-linejoin:round}
.ground{fill:#fff;stroke:#d9dde3}.under{fill:#fff}.grid{stroke:#d9dde3;fill:none}
.mark{stroke:#1f2430;stroke-width:1.2;stroke-dasharray:4 3;fill:none}.band{stroke:#fff;stroke-width:.8;stroke-linejoin:round}
.stripe{fill:#fff;opacity:.45}.open{fill:#d1293d}
`
	darkStyle = `text{fill:#e6e9ef}.soft,.tick,.axis{fill:#9aa4b2}.ground{fill:#14181f;stroke:#2b323d}.under{fill:#14181f}.grid{stroke:#2b323d}
.mark{stroke:#f4f6fa}.band{stroke:#14181f}.stripe{fill:#14181f}.open{fill:#ff5a6a}
`
)

// style returns how a chart looks: before a light ground, and before a dark one where the reader prefers that.
func style() string {
	var light, dark strings.Builder
	for _, p := range paints {
		light.WriteString(fmt.Sprintf(".%s{fill:%s}.n-%[1]s{fill:%[3]s;stroke:%[2]s}\n", p.class, p.light, p.ink))
		dark.WriteString(fmt.Sprintf(".%s{fill:%s}.n-%[1]s{fill:%[3]s;stroke:%[2]s}\n", p.class, p.dark, p.darkInk))
	}
	return "\n" + lightStyle + light.String() + "@media (prefers-color-scheme:dark){\n" + darkStyle + dark.String() + "}\n"
}

// num returns a length as it stands in the document: to a tenth of a pixel.
func num(x float64) string {
	return strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64)
}

// width returns about how wide a text is, rather too wide than too narrow.
func width(text string, size float64) float64 {
	w := 0.0
	for _, r := range text {
		switch {
		case strings.ContainsRune("ijlt.,:;|!' ()[]fr", r):
			w += 0.36
		case strings.ContainsRune("mwMW", r), r < ' ', r > unicode.MaxLatin1:
			w += 0.92
		case unicode.IsUpper(r):
			w += 0.7
		default:
			w += 0.6
		}
	}
	return w * size
}

// fit returns a text that is at most so wide.
func fit(text string, most, size float64) string {
	if width(text, size) <= most {
		return text
	}
	runes := []rune(text)
	for len(runes) > 0 && width(string(runes)+"…", size) > most {
		runes = runes[:len(runes)-1]
	}
	return strings.TrimRight(string(runes), " ,") + "…"
}

// escape returns a text as XML holds it.
func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&quot;")
		case r < ' ', r == 0x7f, r >= 0xfffe && r <= 0xffff:
			b.WriteRune(unicode.ReplacementChar)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// grouped returns a number, to the nearest whole if it is large, with its thousands apart.
func grouped(x float64) string {
	if x < 100 && x != math.Trunc(x) {
		return fmt.Sprintf("%.3g", x)
	}
	text := strconv.FormatFloat(math.Round(x), 'f', 0, 64)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
