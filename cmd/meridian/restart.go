package main

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/meridian-gslb/meridian/configs"
)

// A restartError names settings that a running process cannot change, with their places, and what they were and would be.
type restartError struct{ settings []string }

func (e *restartError) Error() string {
	return fmt.Sprintf("nothing was changed: %s can only change with a restart; take the change back, or restart",
		strings.Join(e.settings, ", "))
}

// restartNeeded compares what is bound to the process for its life.
func restartNeeded(was, now *configs.Config) error {
	var changed []string
	for _, s := range []struct {
		name     string
		was, now any
	}{
		{"dns", was.DNS, now.DNS}, {"edge", was.Edge, now.Edge}, {"admin", &was.Admin, &now.Admin}, {"consul", was.Consul, now.Consul},
		{"redis", was.Redis, now.Redis},
	} {
		changed = append(changed, changedSettings(s.name, reflect.ValueOf(s.was), reflect.ValueOf(s.now))...)
	}
	if was.State != now.State {
		changed = append(changed, "state")
	}
	if was.Prober.Name != now.Prober.Name {
		changed = append(changed, "redis.name")
	}
	if was.Site != now.Site {
		changed = append(changed, "site")
	}
	for i, key := range changed {
		changed[i] += change(was.Written(key), now.Written(key))
	}
	if changed != nil {
		return &restartError{changed}
	}
	return nil
}

// change says where a file says something else than it did, and what, in brackets; "" if it does not.
func change(was, now configs.Written) string {
	if was.Text == now.Text {
		return ""
	}
	place := now.File
	switch {
	case now.Line > 0:
		place += fmt.Sprintf(":%d", now.Line)
	case was.Line > 0:
		place += fmt.Sprintf(", before in line %d", was.Line)
	}
	return fmt.Sprintf(" (%s: %s -> %s)", place, cmp.Or(was.Text, "not set"), cmp.Or(now.Text, "not set"))
}

// reloadable are the settings of DNS that dnsserver.Server.Reconfigure changes.
var reloadable = []string{"nsid", "identity", "version", "cookies", "rate_limit", "proxy_from", "explain_from"}

// changedSettings returns the settings of a section whose fields differ between two pointers to the same struct, or the section if
// only one of them is there.
func changedSettings(section string, was, now reflect.Value) []string {
	if was.IsNil() || now.IsNil() {
		if was.IsNil() == now.IsNil() {
			return nil
		}
		return []string{section}
	}
	var out []string
	for i := range was.Elem().NumField() {
		key := settingOf(was.Elem().Type().Field(i).Name)
		if section == "dns" && slices.Contains(reloadable, key) {
			continue
		}
		if key != "site" && !reflect.DeepEqual(was.Elem().Field(i).Interface(), now.Elem().Field(i).Interface()) { // site has a line of its own
			out = append(out, section+"."+key)
		}
	}
	return out
}

// settingOf returns what the file calls a field of a room's Config.
func settingOf(field string) string {
	switch field {
	case "UDPSize":
		return "udp_size"
	case "NSID":
		return "nsid"
	case "Addresses":
		return "address"
	case "Proxy":
		return "proxy_from"
	case "SiteName":
		return "site"
	case "DrainTimeout":
		return "drain"
	case "ReadHeaderTimeout":
		return "header_timeout"
	case "CAFile":
		return "ca"
	case "CertFile":
		return "cert"
	case "KeyFile":
		return "key"
	case "LAN":
		return "addresses"
	case "HTTPS", "HTTP", "TCP", "TLS":
		return strings.ToLower(field)
	}
	var b strings.Builder
	for i, r := range field {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}
