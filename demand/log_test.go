package demand

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadLog(t *testing.T) {
	r, err := ReadLog(strings.NewReader("\ufefftime,name,type,client,count\n" +
		"2026-03-02T08:00:10Z,WWW.gslb.example.,a,192.0.2.7,30\n" +
		"# a comment\n\n" +
		"1772438400, www.gslb.example , A,\"192.0.2.0/24\",10 # ten\n" + // ten seconds before the first
		"1772438401.75,api.gslb.example,AAAA,2001:db8::1\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Window != 10 || r.Queries != 4.1 || r.Since != 1772438400 || r.Full {
		t.Errorf("%+v", r)
	}
	want := "[{www.gslb.example A 192.0.2.0/24 4} {api.gslb.example AAAA 2001:db8::/56 0.1}]"
	if got := fmt.Sprint(r.Entries); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if r, err := ReadLog(strings.NewReader("5,x,A,192.0.2.1,7")); err != nil || r.Queries != 7 {
		t.Errorf("a log of one moment: %+v %v", r, err)
	}
}

func TestReadLogErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                      "no query",
		"time,name,type,client,count\n":         "no query",
		"1,x,A,192.0.2.1\n2,x":                  "line 2: 2 fields",
		"1,x,A,192.0.2.1,2,3":                   "line 1: 6 fields",
		"yesterday,x,A,192.0.2.1":               `line 1: "yesterday" is no time`,
		"-5,x,A,192.0.2.1":                      "is no time",
		"1,,A,192.0.2.1":                        "a name and a type",
		"1,x,,192.0.2.1":                        "a name and a type",
		"1,x,A,here":                            `"here" is no address`,
		"1,x,A,192.0.2.1,0":                     `"0" is no number`,
		"1,x,A,192.0.2.1,-1":                    "is no number",
		"1,x,A,192.0.2.1,1e9":                   "is no number",
		"1," + strings.Repeat("x", 70_000):      "line 1: ",
		"1,x,A,192.0.2.1,99999999999999999999,": "fields",
	} {
		if _, err := ReadLog(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	broken := errors.New("broken")
	if _, err := ReadLog(io.MultiReader(strings.NewReader("1,x,A,192.0.2.1\n"), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// FuzzReadLog: whatever stands in a log, it is refused with a line, or gives numbers that make sense.
func FuzzReadLog(f *testing.F) {
	f.Add("time,name,type,client,count\n2026-03-02T08:00:00Z,www.gslb.example,A,192.0.2.0/24,3\n1772438400.5,x,AAAA,::1\n")
	f.Add("1,.,ANY,::ffff:1.2.3.4/100,1")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ReadLog(strings.NewReader(text))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "demand: ") {
				t.Error(err)
			}
			return
		}
		sum := 0.0
		for _, e := range r.Entries {
			sum += e.Queries
			if !(e.Queries > 0) || !e.Client.IsValid() || e.Client != e.Client.Masked() {
				t.Errorf("%+v", e)
			}
		}
		if len(r.Entries) == 0 || sum < r.Queries*(1-1e-9) || sum > r.Queries*(1+1e-9) {
			t.Errorf("%v of %v in %d entries", sum, r.Queries, len(r.Entries))
		}
	})
}
