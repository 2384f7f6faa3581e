package main

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/meridian-gslb/meridian/configs"
)

// TestGeoDatabaseMetric: when each database in force was built.
func TestGeoDatabaseMetric(t *testing.T) {
	n := &node{}
	n.config.Store(&configs.Config{Databases: []*configs.GeoDatabase{{File: "/city.mmdb", Built: time.Unix(1_790_000_000, 0)}, {File: "/asn.mmdb", Built: time.Unix(5, 0)}}})
	want := `# HELP meridian_geo_database_build_timestamp_seconds When a geo database in force was built.
# TYPE meridian_geo_database_build_timestamp_seconds gauge
meridian_geo_database_build_timestamp_seconds{file="/asn.mmdb"} 5
meridian_geo_database_build_timestamp_seconds{file="/city.mmdb"} 1.79e+09
`
	if err := testutil.CollectAndCompare(geoCollector{n}, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
