package embedded

import (
	"errors"
	"reflect"
	"testing"

	"github.com/meridian-gslb/meridian/policy"
)

// An endpoint may have a host or a text and no address. What it registers comes back, is published, and survives a restart; what could
// not be answered with is refused.
func TestHostTextALPN(t *testing.T) {
	store := newMemory()
	r, err := New(store, Options{})
	if err != nil {
		t.Fatal(err)
	}
	reg := Registration{Service: "web", Name: "a", Host: "a.cdn.example.", Text: "v=1", ALPN: []string{"h3", "h2"}, Port: 443}
	stored, created, err := r.Register(reg)
	if err != nil || !created || stored.Host != reg.Host || stored.Text != reg.Text || !reflect.DeepEqual(stored.ALPN, reg.ALPN) {
		t.Fatalf("stored %+v, %v, %v", stored, created, err)
	}
	want := policy.EndpointSpec{Name: "a", Host: "a.cdn.example.", Text: "v=1", ALPN: []string{"h3", "h2"}, Port: 443, Weight: 1}
	if got := stored.Spec(); !reflect.DeepEqual(got, want) {
		t.Errorf("published %+v, want %+v", got, want)
	}
	again, err := New(store, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Get("web", "a"); err != nil || !reflect.DeepEqual(got.Spec(), want) {
		t.Errorf("after a restart %+v, %v", got, err)
	}
	for field, change := range map[string]func(*Registration){
		"address": func(r *Registration) { r.Host, r.Text = "", "" },
		"host":    func(r *Registration) { r.Host = "a b" },
		"text":    func(r *Registration) { r.Text = "a\x00" },
		"alpn":    func(r *Registration) { r.ALPN = []string{"h2", "h2"} },
	} {
		bad := reg
		change(&bad)
		var invalid *ValidationError
		if _, _, err := r.Register(bad); !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for name, change := range map[string]func(*Registration){
		"host": func(r *Registration) { r.Host = "b.cdn.example" },
		"text": func(r *Registration) { r.Text = "v=2" },
		"alpn": func(r *Registration) { r.ALPN = []string{"h2"} },
	} {
		other := reg
		change(&other)
		writes := store.writes
		if _, _, err := r.Register(other); err != nil || store.writes != writes+1 {
			t.Errorf("another %s: %v, %d writes", name, err, store.writes-writes)
		}
	}
}
