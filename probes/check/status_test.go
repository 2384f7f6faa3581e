package check

import (
	"strings"
	"testing"
)

func TestParseStatus(t *testing.T) {
	for _, tc := range []struct {
		in, out  string
		yes, no  []int
		mistaken string
	}{
		{in: "", out: "200-399", yes: []int{200, 301, 399}, no: []int{199, 400, 503, 101}},
		{in: "  ", out: "200-399", yes: []int{200}},
		{in: "200", out: "200", yes: []int{200}, no: []int{199, 201}},
		{in: "200-299", out: "200-299", yes: []int{200, 299}, no: []int{300}},
		{in: " 204 , 300 - 399,503", out: "204,300-399,503", yes: []int{204, 300, 399, 503}, no: []int{200, 299, 400, 502}},
		{in: "200-200", out: "200", yes: []int{200}, no: []int{201}},
		{in: "200-599", out: "200-599", yes: []int{200, 599}, no: []int{101, 600}},
		{in: "200,", mistaken: `empty entry in the list of status codes; write e.g. "200-399,401"`},
		{in: "299-200", mistaken: "status range 299-200 is backwards"},
		{in: "100", mistaken: `"100" is not a status code of a final response (200-599)`},
		{in: "600", mistaken: `"600" is not a status code of a final response (200-599)`},
		{in: "+20", mistaken: `"+20" is not a status code of a final response (200-599)`},
		{in: "0200", mistaken: `"0200" is not a status code of a final response (200-599)`},
		{in: "2xx", mistaken: `"2xx" is not a status code of a final response (200-599)`},
		{in: "200-", mistaken: `"" is not a status code of a final response (200-599)`},
		{in: "-200", mistaken: `"" is not a status code of a final response (200-599)`},
		{in: "200-299-399", mistaken: `"299-399" is not a status code of a final response (200-599)`},
	} {
		t.Run(tc.in, func(t *testing.T) {
			set, err := ParseStatus(tc.in)
			wantError(t, err, tc.mistaken)
			if err != nil {
				return
			}
			if set.String() != tc.out {
				t.Errorf("prints as %q, want %q", set, tc.out)
			}
			for _, code := range tc.yes {
				if !set.Contains(code) {
					t.Errorf("%d is not in %s", code, set)
				}
			}
			for _, code := range tc.no {
				if set.Contains(code) {
					t.Errorf("%d is in %s", code, set)
				}
			}
		})
	}
}

func FuzzParseStatus(f *testing.F) {
	for _, seed := range []string{"", "200", "200-299,404", " 204 , 300 - 399", "200,", "299-200", "2xx", "200-299-399"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		set, err := ParseStatus(s)
		if err != nil {
			return
		}
		again, err := ParseStatus(set.String())
		if err != nil || again.String() != set.String() {
			t.Fatalf("%q prints as %q, which reads as %q, %v", s, set, again, err)
		}
		for code := range 1000 {
			if set.Contains(code) != again.Contains(code) {
				t.Fatalf("%q and %q differ on %d", s, set, code)
			}
			if set.Contains(code) && (code < 200 || code > 599) {
				t.Fatalf("%q contains %d", s, code)
			}
		}
		if strings.ContainsAny(set.String(), " \t\n") {
			t.Fatalf("%q prints with blanks", s)
		}
	})
}
