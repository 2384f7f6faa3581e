package h2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"

	"github.com/meridian-gslb/meridian/l7edge/h2/hpack"
)

func client(t *testing.T) *rig {
	cfg := testConfig()
	cfg.Client = true
	return newRig(t, cfg)
}

func server(t *testing.T) *rig { return newRig(t, testConfig()) }

// Ids are given out in the order of the frames, and run out before they could come again.
func TestPoint01Ids(t *testing.T) {
	r := client(t)
	r.request("GET", true)
	r.request("GET", true)
	r.want("two requests", r.frames(), "HEADERS 1 :method=GET :scheme=http :authority=x :path=/ end", "HEADERS 3 :method=GET :scheme=http :authority=x :path=/ end")
	r.nextID = lastID + 2
	if _, id := r.request("GET", true); id != 0 || r.Usable() {
		t.Errorf("stream %d after the last", id)
	}
}

// Blocks are decoded for streams that are refused, secrets stay secrets, and the peer's SETTINGS rule our table.
func TestPoint02HeaderCompression(t *testing.T) {
	cfg := testConfig()
	cfg.MaxStreams = 1
	r := newRig(t, cfg)
	r.get(1, false)
	r.get(3, true, "x-new", "v")
	r.want("one stream too many", r.run(), "header 1 GET /", "RST_STREAM 3 REFUSED_STREAM")
	r.WriteRSTStream(1, http2.ErrCodeCancel)
	r.get(5, true, "x-new", "v", "!cookie", "secret")
	r.want("what the refused one put into the table", r.run(), "reset 1 CANCEL by peer", "header 5 GET / x-new=v cookie=secret! end")
	r.Respond(r.streams[5], 5, append(status("200"), hpack.Field{Name: "set-cookie", Value: "s", Mode: hpack.Never}), true)
	r.want("on the way", r.frames(), "HEADERS 5 :status=200 set-cookie=s! end")

	r = server(t)
	r.get(1, false)
	r.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 1 << 20})
	r.run()
	r.Respond(r.streams[1], 1, status("200"), true)
	b := r.Take(r)
	if want := []byte{0x20, 0x3f, 0xe1, 0x1f, 0x88}; !bytes.Equal(b.B[headLen:], want) { // to 0, then to 4096 and no more
		t.Errorf("block %x, want %x", b.B[headLen:], want)
	}
	r = server(t)
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0xbe}, EndHeaders: true, EndStream: true})
	r.want("a broken block", r.run(), "GOAWAY 0 COMPRESSION_ERROR")
}

// A block is whole before anything else comes, and ends.
func TestPoint03Continuation(t *testing.T) {
	begin := func(r *rig) []byte {
		block := r.fields(":method", "GET", ":scheme", "https", ":authority", "x", ":path", "/", "x-a", "1")
		r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:3], EndStream: true})
		return block[3:]
	}
	r := server(t)
	rest := begin(r)
	r.WriteContinuation(1, false, rest[:2])
	r.WriteContinuation(1, true, rest[2:])
	r.want("in three", r.run(), "header 1 GET / x-a=1 end")
	for name, between := range map[string]func(r *rig){
		"a PING":               func(r *rig) { r.WritePing(false, [8]byte{}) },
		"an unknown frame":     func(r *rig) { r.WriteRawFrame(0xbe, 0, 0, nil) },
		"another stream":       func(r *rig) { r.WriteContinuation(3, true, nil) },
		"another header":       func(r *rig) { r.get(3, true) },
		"nothing, but no end":  func(r *rig) { r.WriteContinuation(1, true, nil); r.WriteContinuation(1, true, nil) },
		"a block from nowhere": func(r *rig) { r.in.Reset(); r.WriteContinuation(1, true, nil) },
	} {
		r := server(t)
		rest := begin(r)
		if name == "nothing, but no end" {
			r.WriteContinuation(1, true, rest)
		}
		between(r)
		if got := r.run(); !strings.HasSuffix(got, "PROTOCOL_ERROR") || r.err == nil {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, size := range []int{0, 1, 16000} {
		r := server(t)
		begin(r)
		for range 20 {
			r.WriteContinuation(1, false, make([]byte, size))
		}
		r.want(fmt.Sprint("without end, ", size), r.run(), "GOAWAY 0 ENHANCE_YOUR_CALM")
	}
}

// Requests whose header is malformed are reset, and not delivered (RFC 9113 8.1.1).
func TestPoint04Headers(t *testing.T) {
	base := func(more ...string) []string {
		return append([]string{":method", "GET", ":scheme", "https", ":authority", "x", ":path", "/"}, more...)
	}
	for name, pairs := range map[string][]string{
		"no method": base()[2:], "no scheme": append(base()[:2:2], base()[4:]...), "no path": base()[:6], "empty path": append(base()[:6:6], ":path", ""),
		"no slash": append(base()[:6:6], ":path", "x"), "star": append(base()[:6:6], ":path", "*"), "method twice": base(":method", "GET"),
		"unknown": base(":x", "1"), "status": base(":status", "200"), "late": {"x", "1", ":method", "GET", ":scheme", "https", ":path", "/"},
		"upper case": base("X-Upper", "1"), "empty name": base("", "1"), "space in a name": base("a b", "1"), "colon": base("a:b", "1"),
		"CR": base("a", "1\r"), "LF": base("a", "1\n2"), "NUL": base("a", "\x00"), "space before": base("a", " b"), "tab after": base("a", "b\t"),
		"connection": base("connection", "close"), "keep-alive": base("keep-alive", "1"), "proxy-connection": base("proxy-connection", "x"),
		"transfer-encoding": base("transfer-encoding", "chunked"), "upgrade": base("upgrade", "h2c"), "te": base("te", "gzip"),
		"CONNECT with a path": {":method", "CONNECT", ":authority", "x", ":path", "/"}, "CONNECT to nowhere": {":method", "CONNECT"},
		"LF in the path": append(base()[:6:6], ":path", "/\n"),
	} {
		r := server(t)
		r.header(1, true, pairs...)
		r.want(name, r.run(), "RST_STREAM 1 PROTOCOL_ERROR")
	}
	r := server(t)
	r.header(1, true, base("te", "trailers", "a", "", "b", "x\ty \xff")...)
	r.header(3, true, ":method", "OPTIONS", ":scheme", "http", ":path", "*")
	r.header(5, true, ":method", "CONNECT", ":authority", "x:1")
	r.want("well-formed", r.run(), "header 1 GET / te=trailers a= b=x\ty \xff end", "header 3 OPTIONS * end", "header 5 CONNECT  end")
	r.get(7, true, "x-large", strings.Repeat("v", 17<<10))
	r.want("too large", r.run(), "header 7 GET / too large end")

	c := client(t)
	for i, pairs := range [][]string{{"x", "1"}, {":status", "20"}, {":status", "2000"}, {":status", "abc"}, {":status", "099"}, {":status", "200", ":path", "/"},
		{":status", "200", "connection", "x"}, {":status", "200", ":status", "200"}, {":status", "101"}} {
		_, id := c.request("GET", true)
		c.frames()
		c.header(id, true, pairs...)
		c.want(fmt.Sprint("response ", i), c.run(), fmt.Sprintf("reset %d PROTOCOL_ERROR malformed", id), fmt.Sprintf("RST_STREAM %d PROTOCOL_ERROR", id))
	}
}

// A length that is said is the length that comes, both ways.
func TestPoint05ContentLength(t *testing.T) {
	for name, c := range map[string]struct {
		length string
		pieces []int
		ok     bool
	}{
		"as said": {"5", []int{2, 3}, true}, "short": {"5", []int{2}, false}, "long": {"5", []int{2, 4}, false}, "none": {"5", []int{}, false},
		"zero": {"0", []int{0}, true}, "not zero": {"0", []int{1}, false}, "no number": {"5x", []int{5}, false}, "signed": {"+5", []int{5}, false},
		"negative": {"-5", []int{5}, false}, "a list": {"5, 5", []int{5}, false}, "huge": {"99999999999999999999", []int{5}, false},
	} {
		r := server(t)
		r.get(1, len(c.pieces) == 0, "content-length", c.length)
		for i, n := range c.pieces {
			r.WriteData(1, i == len(c.pieces)-1, make([]byte, n))
		}
		if got := r.run(); strings.Contains(got, "RST_STREAM 1 PROTOCOL_ERROR") == c.ok || strings.HasSuffix(got, "end") != c.ok {
			t.Errorf("%s: %s", name, got)
		}
	}
	r := server(t)
	r.get(1, true, "content-length", "5", "content-length", "5")
	r.want("twice", r.run(), "RST_STREAM 1 PROTOCOL_ERROR")
	r.get(3, false, "content-length", "5")
	r.WriteData(3, false, make([]byte, 3))
	r.header(3, true, "x-trailer", "1")
	r.want("a trailer too early", r.run(), "header 3 GET / content-length=5", "data 3 3", "reset 3 PROTOCOL_ERROR malformed", "RST_STREAM 3 PROTOCOL_ERROR")

	for _, c := range []struct {
		method, status string
		end, ok        bool
	}{{"GET", "200", true, false}, {"HEAD", "200", true, true}, {"GET", "304", true, true}, {"GET", "204", true, true}, {"HEAD", "200", false, false},
		{"GET", "204", false, false}} {
		r := client(t)
		r.request(c.method, true)
		r.frames()
		r.header(1, c.end, ":status", c.status, "content-length", "5")
		if !c.end {
			r.WriteData(1, true, make([]byte, 5))
		}
		if got := r.run(); strings.Contains(got, "malformed") == c.ok {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

// Windows of streams and of the connection are kept, in all directions.
func TestPoint06FlowControl(t *testing.T) {
	r := server(t)
	r.get(1, false)
	r.WriteData(1, false, make([]byte, 1001))
	r.want("above a stream's window", r.run(), "header 1 GET /", "reset 1 FLOW_CONTROL_ERROR malformed", "RST_STREAM 1 FLOW_CONTROL_ERROR")

	r = server(t)
	r.get(1, false)
	r.WriteDataPadded(1, false, make([]byte, 300), make([]byte, 250)) // with its length, 251 of padding
	r.WriteDataPadded(1, false, make([]byte, 300), make([]byte, 148))
	r.want("padding counts and is given back", r.run(), "header 1 GET /", "data 1 300", "data 1 300", "WINDOW_UPDATE 1 551")

	r = server(t) // what comes for a stream that was reset is given back to the connection
	r.get(1, false)
	r.run()
	r.Conn.Reset(r.streams[1], 1, Cancel)
	sum := 0
	for range 20 {
		r.WriteData(1, false, make([]byte, 16000))
		for line := range strings.Lines(r.run()) {
			var n int
			if fmt.Sscanf(line, "WINDOW_UPDATE 0 %d", &n); n > 0 {
				sum += n
			}
		}
	}
	if sum < 20*16000-1<<16 || r.err != nil {
		t.Errorf("%d of %d bytes given back, %v", sum, 20*16000, r.err)
	}

	r = client(t)
	s, id := r.request("POST", false)
	r.frames()
	if n, _ := r.Conn.Data(s, id, make([]byte, 65536), false); n != 65535 {
		t.Errorf("%d passed", n)
	}
	r.frames()
	r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65534}) // the window is -1 now
	r.WriteWindowUpdate(0, 1000)
	r.WriteWindowUpdate(id, 1)
	r.want("a window of 0", r.run(), "settled 10", "SETTINGS ack")
	r.WriteWindowUpdate(id, 1)
	r.want("a window of 1", r.run(), "sent 1 1", "DATA 1 1")
	r.WriteWindowUpdate(id, 0)
	r.want("an increment of 0", r.run(), "reset 1 PROTOCOL_ERROR malformed", "RST_STREAM 1 PROTOCOL_ERROR")

	for name, c := range map[string]struct {
		do   func(r *rig)
		want string
	}{
		"0 for the connection":   {func(r *rig) { r.WriteWindowUpdate(0, 0) }, "GOAWAY 1 PROTOCOL_ERROR"},
		"the connection's limit": {func(r *rig) { r.WriteWindowUpdate(0, maxWindow) }, "GOAWAY 1 FLOW_CONTROL_ERROR"},
		"a stream's limit": {func(r *rig) { r.WriteWindowUpdate(1, maxWindow) },
			"reset 1 FLOW_CONTROL_ERROR malformed\nRST_STREAM 1 FLOW_CONTROL_ERROR"},
		"a stream's limit by settings": {func(r *rig) {
			r.WriteWindowUpdate(1, maxWindow-defaultWindow)
			r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: defaultWindow + 1})
		}, "GOAWAY 1 FLOW_CONTROL_ERROR"},
		"an idle stream": {func(r *rig) { r.WriteWindowUpdate(3, 1) }, "GOAWAY 1 PROTOCOL_ERROR"},
		"too short":      {func(r *rig) { r.WriteRawFrame(http2.FrameWindowUpdate, 0, 1, []byte{1}) }, "GOAWAY 1 FRAME_SIZE_ERROR"},
		"the window of the connection": {func(r *rig) {
			r.keep = true
			r.cfg.MaxHeld = 0
			for id := uint32(3); id < 300; id += 2 {
				r.get(id, false)
				r.WriteData(id, false, make([]byte, 1000))
				r.WriteRSTStream(id, http2.ErrCodeCancel)
			}
		}, "GOAWAY 265 FLOW_CONTROL_ERROR"},
	} {
		r := server(t)
		r.get(1, false)
		r.run()
		c.do(r)
		if got := r.run(); !strings.HasSuffix(got, c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// What a peer does not take holds back its own stream alone; what waits is bounded.
func TestPoint07Backpressure(t *testing.T) {
	r := server(t)
	r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 10})
	r.get(1, true)
	r.get(3, true)
	r.run()
	for _, id := range []uint32{1, 3} {
		r.Respond(r.streams[id], id, status("200"), false)
		if n, ended := r.Conn.Data(r.streams[id], id, make([]byte, 20), id == 3); n != 10 || ended {
			t.Errorf("%d passed, %v", n, ended)
		}
	}
	r.Conn.Trailer(r.streams[1], 1, []hpack.Field{{Name: "grpc-status", Value: "0"}})
	r.want("both stand", r.frames(), "HEADERS 1 :status=200", "DATA 1 10", "HEADERS 3 :status=200", "DATA 3 10")
	r.WriteWindowUpdate(3, 100)
	r.want("one goes on", r.run(), "sent 3 10 end", "DATA 3 10 end")
	r.WriteWindowUpdate(1, 100)
	r.want("its trailer is last", r.run(), "sent 1 10 end", "DATA 1 10", "HEADERS 1 grpc-status=0 end")
	if r.Streams() != 0 {
		t.Error("streams are left")
	}

	// A full output is a closed window, and streams take turns when it opens.
	r = server(t)
	r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	r.WriteWindowUpdate(0, 1<<20)
	r.get(1, true)
	r.get(3, true)
	r.run()
	n, _ := r.Conn.Data(r.streams[1], 1, make([]byte, 300<<10), true)
	m, _ := r.Conn.Data(r.streams[3], 3, make([]byte, 300<<10), true)
	if n > maxOut+maxFrame || m != 0 || r.Backlog() > maxOut+2*maxFrame {
		t.Errorf("%d and %d passed, %d wait to be sent", n, m, r.Backlog())
	}
	turns := r.frames()
	if strings.Contains(turns, "DATA 3 16384\nDATA 3 16384") && strings.Index(turns, "DATA 1") > 0 && r.Streams() != 0 {
		t.Errorf("no turns:\n%s", turns)
	}
	if first, last := strings.Index(turns, "DATA 3"), strings.LastIndex(turns, "DATA 1 "); first < 0 || last < first || r.Streams() != 0 {
		t.Errorf("stream 3 had to wait for all of stream 1:\n%s", turns)
	}

	// More than may be held closes the window of the connection, until it is given back.
	cfg := testConfig()
	cfg.StreamWindow, cfg.ConnWindow, cfg.MaxHeld, cfg.Budget = 1<<20, 1<<16, 100_000, &Budget{Limit: 1 << 30}
	for _, budget := range []int64{1 << 30, 50_000} {
		cfg.Budget.Limit = budget
		r = newRig(t, cfg)
		r.keep = true
		r.get(1, false)
		opened := 0
		for r.recvWindow >= 10_000 {
			r.WriteData(1, false, make([]byte, 10_000))
			opened += strings.Count(r.run(), "WINDOW_UPDATE 0")
		}
		if most := int(min(100_000, budget)) + cfg.ConnWindow; r.held > most || r.err != nil || int64(r.held) != cfg.Budget.used.Load() {
			t.Errorf("%d held of %d, %v", r.held, most, r.err)
		}
		r.Credit(r.streams[1], 1, r.held)
		if got := r.frames(); !strings.Contains(got, "WINDOW_UPDATE 0") || cfg.Budget.used.Load() != 0 {
			t.Errorf("given back, but: %s", got)
		}
	}
}

// A response may end before its request does: END_STREAM, then RST_STREAM.
func TestPoint08EarlyResponse(t *testing.T) {
	r := server(t)
	r.get(1, false)
	r.run()
	r.Respond(r.streams[1], 1, status("413"), true)
	r.Conn.Reset(r.streams[1], 1, NoError)
	r.WriteData(1, true, make([]byte, 10)) // on its way already
	r.want("early", r.run(), "HEADERS 1 :status=413 end", "RST_STREAM 1 NO_ERROR")
	c := client(t)
	s, id := c.request("POST", false)
	c.frames()
	c.header(1, true, ":status", "200")
	c.WriteRSTStream(1, http2.ErrCodeNo)
	c.want("as a client", c.run(), "header 1 200 end", "reset 1 NO_ERROR by peer")
	if n, _ := c.Conn.Data(s, id, make([]byte, 5), true); n != 5 || c.frames() != "" {
		t.Error("data for a stream that is over")
	}
}
