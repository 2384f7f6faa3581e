package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// TestWrongTypesNameTheField: who writes the wrong kind of value learns where, and what is expected, in words.
func TestWrongTypesNameTheField(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct{ body, want string }{
		{`{"address":"192.0.2.3","port":"80"}`, "port: a whole number from 0 to 65535 is expected, not a string"},
		{`{"address":"192.0.2.3","port":99999}`, "port: a whole number from 0 to 65535 is expected, not 99999"},
		{`{"address":"192.0.2.3","port":1.5}`, "port: a whole number from 0 to 65535 is expected, not 1.5"},
		{`{"address":"192.0.2.3","weight":[]}`, "weight: a whole number from 0 to 4294967295 is expected, not a list"},
		{`{"address":"192.0.2.3","site":true}`, "site: a string is expected, not true or false"},
		{`{"address":"192.0.2.3","meta":"rack"}`, "meta: an object is expected, not a string"},
		{`{"address":"192.0.2.3","meta":{"rack":7}}`, "meta: a string is expected, not a number"},
		{`{"address":"192.0.2.3","ttl":10}`, `ttl: a duration such as "15s" is expected, not a number`},
		{`{"address":"192.0.2.3","ttl":"10"}`, `ttl: "10" is not a duration: write it as in "15s"`},
		{`{"address":"here"}`, `address: "here" is not an IP address`},
		{`{"address":["192.0.2.3",""]}`, `address: "" is not an IP address`},
		{`{"address":7}`, "address: an IP address, or a list of them, is expected"},
		{`{"address":["192.0.2.3",7]}`, "address: an IP address, or a list of them, is expected"},
		{`{"address":{"v4":"192.0.2.3"}}`, "address: an IP address, or a list of them, is expected"},
		{`{}`, "address"},
		{`{"address":null}`, "address"},
		{`["192.0.2.3"]`, "an object is expected, not a list"},
		{`"192.0.2.3"`, "an object is expected, not a string"},
		{`{"adress":"192.0.2.3"}`, `unknown field "adress"`},
		{`{"address":"192.0.2.3"x}`, "it is not JSON, as byte 23 shows"},
		{`{"address":"192.0.2.3"`, "the JSON ends in its midst"},
		{"{" + many(100) + `"ttl":"soon"}`, `expected: "soon" is not a duration`},
	} {
		b.refused(http.MethodPut, "/v1/services/web/endpoints/three", c.body, http.StatusBadRequest, c.want)
	}
	for _, c := range []struct{ body, want string }{
		{`{"state":"sideways"}`, `state: "sideways" is not a state`},
		{`{"state":1}`, `state: a state such as "drained" is expected, not a number`},
		{`{"for":10}`, `for: a duration such as "15s" is expected, not a number`},
		{`{"for":"soon"}`, `for: "soon" is not a duration`},
		{`{"reason":{}}`, "reason: a string is expected, not an object"},
	} {
		b.refused(http.MethodPut, "/v1/overrides/site/us-east", c.body, http.StatusBadRequest, c.want)
	}
	for _, words := range []string{"Go ", "uint", "netip", "embedded.", "[]"} {
		if _, body := b.do(http.MethodPut, "/v1/services/web/endpoints/three", `{"address":["192.0.2.3"],"port":{}}`); strings.Contains(body, words) {
			t.Errorf("%q in %s", words, body)
		}
	}
}

// many returns fields without number, for a body.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"field%d":1,`, i)
	}
	return b.String()
}

// TestAddressForms: one address is a string or a list, two are a list; what is shown can be written back.
func TestAddressForms(t *testing.T) {
	b := newBench(t)
	for body, want := range map[string]int{
		`{"address":"192.0.2.3"}`:                 1,
		`{"address":"2001:db8::3"}`:               1,
		`{"address":["192.0.2.3"]}`:               1,
		`{"address":["192.0.2.3","2001:db8::3"]}`: 2,
	} {
		const path = "/v1/services/web/endpoints/three"
		if code, got := b.do(http.MethodPut, path, body); code/100 != 2 {
			t.Errorf("%s: %d %s", body, code, got)
			continue
		}
		shown := get[Registered](b, path)
		if len(shown.Address) != want {
			t.Errorf("%s: %v", body, shown.Address)
		}
		back, err := json.Marshal(shown)
		if err != nil {
			t.Fatal(err)
		}
		if code, got := b.do(http.MethodPut, path, string(back)); code != http.StatusOK {
			t.Errorf("written back: %d %s", code, got)
		}
	}
}

// FuzzRegistrationBody: whatever comes as a body, the answer is a registration or an error that says something, and what is taken for
// a registration says the same when it is read again.
func FuzzRegistrationBody(f *testing.F) {
	for _, s := range []string{`{"address":"192.0.2.3"}`, `{"address":["::1"],"ttl":"1s","meta":{"a":"b"}}`, `{"ttl":3}`, `[]`, `{"address":null,"x":`, "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := http.NewRequest(http.MethodPut, "/", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		var body registrationBody
		if err := readBody(r, &body, false); err != nil {
			if e := asError(err); e.Status != http.StatusBadRequest || e.Message == "" {
				t.Errorf("%q: %+v", text, e)
			}
			return
		}
		again, err := json.Marshal(embedded.Registration{Address: body.Address, TTL: body.TTL})
		if err != nil {
			t.Fatal(err)
		}
		var second registrationBody
		if err := json.Unmarshal(again, &second); err != nil || len(second.Address) != len(body.Address) || second.TTL != body.TTL {
			t.Errorf("%q: %s: %v", text, again, err)
		}
	})
}
