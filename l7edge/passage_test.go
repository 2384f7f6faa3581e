package l7edge

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// frames runs an endpoint that speaks HTTP/2 frame by frame: serve gets each frame that comes, after the greeting.
func frames(t *testing.T, serve func(f *framed, frame http2.Frame)) string {
	return listen(t, func(c net.Conn) {
		if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		f := newFramed(c)
		f.AllowIllegalWrites = true
		f.WriteSettings()
		for {
			frame, err := f.ReadFrame()
			if err != nil {
				return
			}
			serve(f, frame)
		}
	})
}

// next returns the next frame on a stream, in short.
func (f *framed) next(t *testing.T, stream uint32) string {
	t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err.Error()
		}
		if frame.Header().StreamID != stream {
			continue
		}
		end := ""
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			if frame.StreamEnded() {
				end = " end"
			}
			return "HEADERS " + frame.PseudoValue("status") + end
		case *http2.DataFrame:
			if frame.StreamEnded() {
				end = " end"
			}
			return fmt.Sprint("DATA ", len(frame.Data()), end)
		case *http2.RSTStreamFrame:
			return fmt.Sprint("RST_STREAM ", frame.ErrCode)
		}
	}
}

func getOf(path string, more ...string) []string {
	return append([]string{":method", "GET", ":scheme", "https", ":authority", "x", ":path", path}, more...)
}

// How an endpoint ends a stream is what the client sees of it, once the response has begun; before that it is 502 (point 9 of the engine).
func TestEndpointResets(t *testing.T) {
	at := frames(t, func(f *framed, frame http2.Frame) {
		h, ok := frame.(*http2.MetaHeadersFrame)
		if !ok {
			return
		}
		id := h.StreamID
		switch path := h.PseudoValue("path"); {
		case strings.HasPrefix(path, "/before"):
			f.WriteRSTStream(id, http2.ErrCode(path[len(path)-1]-'a'))
		case strings.HasPrefix(path, "/after"):
			f.headers(id, false, ":status", "200")
			f.WriteRSTStream(id, http2.ErrCode(path[len(path)-1]-'a'))
		case path == "/malformed":
			f.headers(id, false, ":status", "200", "content-length", "1")
			f.WriteData(id, true, []byte("more"))
		case path == "/bad":
			f.headers(id, true, "no-status", "1")
		case path == "/gone":
			f.headers(id, false, ":status", "200")
			f.conn.Close()
		case path == "/early":
			f.headers(id, false, ":status", "413")
			f.WriteData(id, true, []byte("no more"))
		case path == "/interim":
			f.headers(id, false, ":status", "100")
			f.headers(id, false, ":status", "103", "link", "x")
			f.headers(id, true, ":status", "204")
		}
	})
	e := start(t, newWorld(t, service(at), overH2C()), nil)
	c := dialH2(t, e.https)
	for i, tc := range []struct {
		path string
		end  bool
		want []string
	}{
		{"/before" + string('a'+rune(http2.ErrCodeInternal)), true, []string{"HEADERS 502", "DATA 73 end"}},
		{"/before" + string('a'+rune(http2.ErrCodeRefusedStream)), false, []string{"HEADERS 502", "DATA 73 end", "RST_STREAM NO_ERROR"}},
		{"/after" + string('a'+rune(http2.ErrCodeEnhanceYourCalm)), true, []string{"HEADERS 200", "RST_STREAM ENHANCE_YOUR_CALM"}},
		{"/after" + string('a'+rune(http2.ErrCodeCancel)), true, []string{"HEADERS 200", "RST_STREAM CANCEL"}},
		{"/malformed", true, []string{"HEADERS 200", "RST_STREAM INTERNAL_ERROR"}},
		{"/bad", true, []string{"HEADERS 502", "DATA 73 end"}},
		{"/gone", true, []string{"HEADERS 200", "RST_STREAM INTERNAL_ERROR"}},
		{"/early", false, []string{"HEADERS 413", "DATA 7 end", "RST_STREAM NO_ERROR"}},
		{"/interim", true, []string{"HEADERS 100", "HEADERS 103", "HEADERS 204 end"}},
	} {
		id := uint32(2*i + 1)
		c.headers(id, tc.end, getOf(tc.path)...)
		var got []string
		for range tc.want {
			got = append(got, c.next(t, id))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.path, got, tc.want)
		}
	}
	eventually(t, "all end", func() bool { return e.carrier.handlers.Load() == 0 && stats(e, "web/b0").InFlight == 0 })
	if got := stats(e, "web/b0"); got.Failures != 7 {
		t.Errorf("%+v", got)
	}
	if n := e.carrier.engine.budget.Held(); n != 0 {
		t.Errorf("%d bytes are held", n)
	}
}

// What a client gives up is cancelled at the endpoint; what it may not ask for is refused (points 9 and 20).
func TestClientsOfPassages(t *testing.T) {
	reset := make(chan http2.ErrCode, 1)
	at := frames(t, func(f *framed, frame http2.Frame) {
		switch frame := frame.(type) {
		case *http2.MetaHeadersFrame:
			f.headers(frame.StreamID, false, ":status", "200")
		case *http2.RSTStreamFrame:
			reset <- frame.ErrCode
		}
	})
	e := start(t, newWorld(t, service(at), overH2C()), func(c *Config) { c.StreamIdleTimeout = 200 * time.Millisecond })
	c := dialH2(t, e.https)
	c.headers(1, false, getOf("/")...)
	if got := c.next(t, 1); got != "HEADERS 200" {
		t.Fatal(got)
	}
	c.WriteRSTStream(1, http2.ErrCodeInternal)
	if got := <-reset; got != http2.ErrCodeCancel {
		t.Errorf("reset with %v", got)
	}
	c.headers(3, true, ":method", "CONNECT", ":authority", "x:1")
	if got := c.next(t, 3); got != "HEADERS 405" {
		t.Errorf("CONNECT: %s", got)
	}
	c.next(t, 3)
	c.headers(5, true, getOf("/", "x-large", strings.Repeat("v", 40<<10)[:15<<10], "x-more", strings.Repeat("w", 1000))...)
	if got := c.next(t, 5); got != "HEADERS 200" {
		t.Errorf("a large header: %s", got)
	}
	if got := c.next(t, 5); got != "RST_STREAM CANCEL" { // it stands still
		t.Errorf("idle: %s", got)
	}
	<-reset
	eventually(t, "all end", func() bool { return e.carrier.handlers.Load() == 0 })
}

// An endpoint sees the same of a request, whichever carrier brings it: what clients claim of themselves, what proxies say, what may trail.
func TestCarriersAgree(t *testing.T) {
	type seen struct {
		header, trailer http.Header
		body, host      string
	}
	got := make(chan seen, 1)
	b := newH2C(t, 100, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.Header, r.Trailer, string(body), r.Host}
	})
	w := newWorld(t, service(b.at), overH2C())
	for _, trusted := range [][]netip.Prefix{nil, {netip.MustParsePrefix("127.0.0.0/8")}} {
		e := start(t, w, func(c *Config) { c.TrustedProxies = trusted })
		for _, fields := range []map[string][]string{
			{},
			{"X-Forwarded-For": {"192.0.2.1, 127.0.0.9"}, "X-Forwarded-Proto": {"gopher"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Port": {"1"}},
			{"Forwarded": {"for=x"}, "X-Real-Ip": {"1.2.3.4"}, "True-Client-Ip": {"x"}, "X-Client-Ip": {"y"}, "Via": {"1.0 fred", "1.1 joe"}},
			{"Cookie": {"a=1"}, "Under_score": {"x"}, "Proxy-Authorization": {"x"}, "Te": {"trailers"}, "X-Twice": {"1", "2"}, "Authorization": {"Basic x"}},
			{"X-Forwarded-For": {"junk"}, "Accept-Encoding": {"br"}},
		} {
			var all []seen
			for _, h2 := range []bool{false, true} {
				req, err := http.NewRequest("POST", "https://"+e.https+"/a", io.NopCloser(strings.NewReader("body")))
				if err != nil {
					t.Fatal(err)
				}
				req.Header = http.Header(fields).Clone()
				req.Header["User-Agent"] = []string{"test"}
				req.Trailer = http.Header{"Checksum": {"abc"}, "X-Forwarded-For": {"1.1.1.1"}}
				resp, err := client(t, h2).Do(req)
				if err != nil {
					t.Fatal(err)
				}
				read(t, resp)
				s := <-got
				s.header.Set("Via", strings.Replace(s.header.Get("Via"), "1.1 meridian", "2.0 meridian", 1))
				all = append(all, s)
			}
			if one, two := fmt.Sprint(all[0]), fmt.Sprint(all[1]); one != two {
				t.Errorf("trusted %v, %v:\n%s\n%s", trusted, fields, one, two)
			}
		}
		e.stop()
	}
}

// A client that does not read one stream gets the others, and costs no more than the windows.
func TestAStandingStreamStopsNoOther(t *testing.T) {
	b := newH2C(t, 100, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			block := make([]byte, 64<<10)
			for range 400 {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}
		io.WriteString(w, "small")
	})
	e := start(t, newWorld(t, service(b.at), overH2C()), nil)
	c := client(t, true)
	for range 3 {
		resp, err := c.Get("https://" + e.https + "/large")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() // unread
	}
	up := client(t, true)
	stuck, in := io.Pipe()
	defer in.Close()
	go up.Post("https://"+e.https+"/upload", "text/plain", stuck)
	for range 50 {
		if _, body := get(t, c, "https://"+e.https); body != "small" {
			t.Fatal(body)
		}
	}
	if most, held := int64(3*(streamWindow+maxHeld)), e.carrier.engine.budget.Held(); held > most {
		t.Errorf("%d bytes are held, want at most %d", held, most)
	}
}

// Floods end the connection they come on; another client is served meanwhile.
func TestFloodsBesideAnInnocent(t *testing.T) {
	b := newH2C(t, 100, says("x"))
	e := start(t, newWorld(t, service(b.at), overH2C()), nil)
	innocent := client(t, true)
	get(t, innocent, "https://"+e.https)
	for name, attack := range map[string]func(c *framed, i int) error{
		"rapid reset": func(c *framed, i int) error {
			c.headers(uint32(2*i+1), true, getOf("/")...)
			return c.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
		},
		"made to reset": func(c *framed, i int) error {
			c.headers(uint32(2*i+1), true, getOf("/")...)
			return c.WriteWindowUpdate(uint32(2*i+1), 0)
		},
		"PING":     func(c *framed, _ int) error { return c.WritePing(false, [8]byte{}) },
		"SETTINGS": func(c *framed, _ int) error { return c.WriteSettings() },
		"PRIORITY": func(c *framed, _ int) error { return c.WritePriority(9, http2.PriorityParam{StreamDep: 1}) },
		"empty DATA": func(c *framed, i int) error {
			if i == 0 {
				c.headers(1, false, getOf("/")...)
			}
			return c.WriteData(1, false, nil)
		},
		"WINDOW_UPDATE": func(c *framed, _ int) error { return c.WriteWindowUpdate(0, 1) },
	} {
		check := calm(t)
		c := dialH2(t, e.https)
		c.AllowIllegalWrites = true
		end := watchEnd(c)
		i := 0
		for ; i < 200_000 && !end.told.Load() && attack(c, i) == nil; i++ {
			if i%1000 == 0 {
				if _, body := get(t, innocent, "https://"+e.https); body != "x" {
					t.Fatalf("%s: the innocent got %q", name, body)
				}
			}
		}
		<-end.done
		c.conn.Close()
		if i == 200_000 || end.told.Load() && end.code != http2.ErrCodeEnhanceYourCalm {
			t.Errorf("%s: after %d, %v", name, i, end.code)
		}
		check()
	}
	if got := stats(e, "web/b0"); got.Failures != 0 {
		t.Errorf("the endpoint is blamed: %+v", got)
	}
}
