package configs

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/meridian-gslb/meridian/policy"
)

// The example of docs/geo.md is one that loads, and every region in its table is one that rules can be for.
func TestGeoManual(t *testing.T) {
	doc, err := os.ReadFile("../docs/geo.md")
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(doc)
	if example == nil {
		t.Fatal("no example")
	}
	text := strings.ReplaceAll(string(example[1]), "/var/lib/GeoIP/", "")
	text += "sites: {eu-west: {at: [53, -6]}, eu-central: {at: [50, 9]}, us-east: {at: [39, -77]}}\n"
	c, err := Load(fstest.MapFS{
		"m.yaml":             {Data: []byte(text)},
		"GeoLite2-City.mmdb": {Data: mmdb(t, time.Now(), "10.0.0.0/8,GB,London,51.5,-0.1,20,")},
		"GeoLite2-ASN.mmdb":  {Data: mmdb(t, time.Now(), "10.0.0.0/8,,,,,,AS64500")},
	}, "m.yaml")
	if err != nil || len(c.Databases) != 2 {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "| Region | Written | Comes from |")
	table, _, _ = strings.Cut(table, "\n\n")
	names := regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(table, -1)
	if len(names) < 8 {
		t.Fatalf("%d regions", len(names))
	}
	for _, n := range names {
		if !policy.IsDatabaseRegion(n[1]) {
			t.Errorf("%s is no region", n[1])
		}
	}
}
