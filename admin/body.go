package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// readBody decodes the JSON body of a request into v, a pointer to a struct. An empty body leaves v as it is if it may be empty.
// Unknown fields, a second value and a body over the limit are errors: a misspelt field must not be obeyed as if it were not there.
func readBody(r *http.Request, v any, mayBeEmpty bool) error {
	body, err := io.ReadAll(r.Body)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return &Error{Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the body is larger than %d bytes", tooLarge.Limit)}
	}
	if err != nil {
		return badRequest("the body cannot be read: %v", err)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		if mayBeEmpty {
			return nil
		}
		return badRequest("the body is empty; a JSON object is expected")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badRequest("the body is not what is expected: %s", misread(err, body, v))
	}
	if _, err := d.Token(); err != io.EOF {
		return badRequest("the body goes on behind the JSON object")
	}
	return nil
}

// misread says in words which field of a body could not be decoded into v, and what it has to be.
func misread(err error, body []byte, v any) string {
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		said := expected(wrong.Type) + " is expected, not " + found(wrong.Value)
		if wrong.Field != "" {
			said = wrong.Field + ": " + said
		}
		return said
	}
	if bad := (*json.SyntaxError)(nil); errors.As(err, &bad) {
		return fmt.Sprintf("it is not JSON, as byte %d shows", bad.Offset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return "the JSON ends in its midst"
	}
	said := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "json: "), "policy: ")
	if field := culprit(body, v); field != "" {
		return field + ": " + said
	}
	return said
}

// culprit returns the field that cannot be decoded into v even alone; "" if there is none, or the body is no JSON object of a few
// fields. The errors of types that read themselves do not say where they were met.
func culprit(body []byte, v any) string {
	const most = 32
	var fields map[string]json.RawMessage
	if json.Unmarshal(body, &fields) != nil || len(fields) > most {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		alone, err := json.Marshal(map[string]json.RawMessage{name: fields[name]})
		if err == nil && json.Unmarshal(alone, reflect.New(reflect.TypeOf(v).Elem()).Interface()) != nil {
			return name
		}
	}
	return ""
}

// expected says what JSON value a Go type is read from.
func expected(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[embedded.Duration]():
		return `a duration such as "15s"`
	case reflect.TypeFor[policy.State]():
		return `a state such as "drained"`
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Uint16:
		return fmt.Sprintf("a whole number from 0 to %d", math.MaxUint16)
	case reflect.Uint32:
		return fmt.Sprintf("a whole number from 0 to %d", uint32(math.MaxUint32))
	case reflect.Float64:
		return "a number"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "another value"
}

// found names a JSON value as encoding/json does, with an article.
func found(value string) string {
	switch value {
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "bool":
		return "true or false"
	case "string", "number":
		return "a " + value
	}
	return strings.TrimPrefix(value, "number ")
}

// A registrationBody is the body of a registration. It takes what a registration was shown as, so that one can be read, changed and
// written back; when it was registered and whether it serves is not for the client to say.
type registrationBody struct {
	Service string            `json:"service"`
	Name    string            `json:"name"`
	Address addresses         `json:"address"`
	Host    string            `json:"host"`
	Text    string            `json:"text"`
	ALPN    []string          `json:"alpn"`
	Port    uint16            `json:"port"`
	Site    string            `json:"site"`
	Weight  *uint32           `json:"weight"`
	Load    float64           `json:"load"`
	Meta    map[string]string `json:"meta"`
	TTL     embedded.Duration `json:"ttl"`

	Registered json.RawMessage `json:"registered"`
	Expires    json.RawMessage `json:"expires"`
	Serving    json.RawMessage `json:"serving"`
	Reason     json.RawMessage `json:"reason"`
}

// addresses are written as a string, or as a list of strings, as in the configuration file.
type addresses []netip.Addr

// UnmarshalJSON reads "192.0.2.1" or ["192.0.2.1", "2001:db8::1"].
func (a *addresses) UnmarshalJSON(b []byte) error {
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		var one string
		if json.Unmarshal(b, &one) != nil {
			return errors.New("an IP address, or a list of them, is expected")
		}
		list = []string{one}
	}
	*a = nil
	for _, s := range list {
		ip, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("%.80q is not an IP address", s)
		}
		*a = append(*a, ip)
	}
	return nil
}

// A heartbeatBody is the body of a heartbeat, which may be empty.
type heartbeatBody struct {
	Load *float64 `json:"load"`
}

// maxLoad is the largest load that may be reported: many times what an endpoint can take.
const maxLoad = 60

// checkLoad returns what is wrong with a load.
func checkLoad(share float64) error {
	if !(share >= 0 && share <= maxLoad) {
		return badRequest("load: %v is out of range: want 0 to %d, 1 being all that the endpoint can take", share, maxLoad)
	}
	return nil
}
