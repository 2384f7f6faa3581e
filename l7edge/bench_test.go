package l7edge

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// BenchmarkProxy is a request through the edge, both ends in the same process: the ratio to BenchmarkDirect is what the edge costs.
func BenchmarkProxy(b *testing.B) {
	body := says(strings.Repeat("x", 1024))
	h1 := start(b, newWorld(b, service(backend(b, body), backend(b, body)), all()), nil)
	h2c := start(b, newWorld(b, service(newH2C(b, 100, body).at, newH2C(b, 100, body).at), overH2C()), nil)
	for _, c := range []struct {
		name, url string
		h2        bool
	}{
		{"h1", "http://" + h1.http, false},
		{"h1 TLS", "https://" + h1.https, false},
		{"h2 TLS", "https://" + h1.https, true},
		{"h2 TLS to h2c", "https://" + h2c.https, true},
	} {
		b.Run(c.name, func(b *testing.B) { fetch(b, client(b, c.h2), c.url) })
	}
}

// BenchmarkDirect is the same request without the edge.
func BenchmarkDirect(b *testing.B) {
	body := says(strings.Repeat("x", 1024))
	b.Run("h1", func(b *testing.B) { fetch(b, client(b, false), "http://"+backend(b, body)) })
}

func fetch(b *testing.B, c *http.Client, url string) {
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.Get(url)
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
