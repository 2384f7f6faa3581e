package h2

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// GOAWAY ends what the peer did not take, and what it took goes on.
func TestPoint10GoAwayOfThePeer(t *testing.T) {
	r := client(t)
	r.request("GET", true)
	r.request("GET", true)
	r.request("GET", true)
	r.frames()
	r.WriteGoAway(maxStreamID, http2.ErrCodeNo, nil)
	r.want("a warning", r.run(), "leaving NO_ERROR")
	if _, id := r.request("GET", true); id != 0 || r.Usable() {
		t.Errorf("stream %d after GOAWAY", id)
	}
	r.WriteGoAway(3, http2.ErrCodeNo, nil)
	r.header(3, true, ":status", "200")
	r.want("the end", r.run(), "leaving NO_ERROR", "reset 5 NO_ERROR unprocessed", "header 3 200 end")
	r.WriteGoAway(0, http2.ErrCodeInternal, []byte("debug"))
	r.want("less than before", r.run(), "leaving INTERNAL_ERROR", "reset 1 INTERNAL_ERROR unprocessed")
}

// Our end comes in two steps, and loses no stream that was on its way (RFC 9113 6.8).
func TestPoint11GoAwayOfOurs(t *testing.T) {
	r := server(t)
	r.get(1, true)
	r.run()
	r.Shutdown(r.at)
	r.Shutdown(r.at)
	r.want("first", r.frames(), "GOAWAY 2147483647 NO_ERROR", "PING")
	r.get(3, true)
	r.WritePing(true, [8]byte{0x6d, 0x65, 0x72, 0x69, 0x64, 0x72, 0x6e, 0x31})
	r.get(5, true, "x", "1")
	r.get(7, true, "x", "1")
	r.want("second", r.run(), "header 3 GET / end", "GOAWAY 3 NO_ERROR")
	if r.Done() {
		t.Error("done with two streams")
	}
	r.Respond(r.streams[1], 1, status("200"), true)
	r.Respond(r.streams[3], 3, status("200"), true)
	if r.frames(); !r.Done() {
		t.Error("not done")
	}

	r = server(t) // a peer that answers no PING
	r.Shutdown(r.at)
	r.frames()
	if next, err := r.Tick(r.at); err != nil || !next.Equal(r.at.Add(warning)) {
		t.Errorf("%v %v", next, err)
	}
	r.Tick(r.at.Add(warning))
	if r.want("later", r.frames(), "GOAWAY 0 NO_ERROR"); !r.Done() {
		t.Error("not done")
	}
	c := client(t)
	c.Shutdown(c.at)
	if c.want("a client's", c.frames(), "GOAWAY 0 NO_ERROR"); !c.Done() {
		t.Error("not done")
	}
}

// SETTINGS are applied, then acknowledged; what may not be is refused.
func TestPoint12Settings(t *testing.T) {
	for name, c := range map[string]struct {
		settings []http2.Setting
		want     string
	}{
		"window":      {[]http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 1 << 31}}, "GOAWAY 0 FLOW_CONTROL_ERROR"},
		"small frame": {[]http2.Setting{{ID: http2.SettingMaxFrameSize, Val: 16383}}, "GOAWAY 0 PROTOCOL_ERROR"},
		"no frame":    {[]http2.Setting{{ID: http2.SettingMaxFrameSize, Val: 0}}, "GOAWAY 0 PROTOCOL_ERROR"},
		"large frame": {[]http2.Setting{{ID: http2.SettingMaxFrameSize, Val: 1 << 24}}, "GOAWAY 0 PROTOCOL_ERROR"},
		"push":        {[]http2.Setting{{ID: http2.SettingEnablePush, Val: 2}}, "GOAWAY 0 PROTOCOL_ERROR"},
		"too many":    {make([]http2.Setting, 33), "GOAWAY 0 ENHANCE_YOUR_CALM"},
		"unknown":     {[]http2.Setting{{ID: 0xff, Val: 1}}, "settled 10\nSETTINGS ack"},
	} {
		r := server(t)
		r.WriteSettings(c.settings...)
		r.want(name, r.run(), c.want)
	}
	for name, c := range map[string]struct {
		flags  http2.Flags
		stream uint32
		size   int
		want   string
	}{"on a stream": {0, 1, 0, "PROTOCOL_ERROR"},
		"of five bytes": {0, 0, 5, "FRAME_SIZE_ERROR"}, "an answer with more": {http2.FlagSettingsAck, 0, 6, "FRAME_SIZE_ERROR"}} {
		r := server(t)
		r.WriteRawFrame(http2.FrameSettings, c.flags, c.stream, make([]byte, c.size))
		r.want(name, r.run(), "GOAWAY 0 "+c.want)
	}
	r := client(t)
	r.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
	r.run()
	r.request("GET", true)
	if _, id := r.request("GET", true); id != 0 {
		t.Error("more streams than the peer allows")
	}
	r = &rig{t: t}
	r.Conn = New(testConfig(), r, time.Unix(0, 0))
	if _, err := r.Tick(time.Unix(0, 0).Add(settingsPatience)); err == nil || err.(*ConnError).Code != SettingsTimeout {
		t.Errorf("never acknowledged: %v", err)
	}
}

// PING is answered as it came, and asked where a peer is silent.
func TestPoint13Ping(t *testing.T) {
	cfg := testConfig()
	cfg.Silence = 10 * time.Second
	r := newRig(t, cfg)
	r.WritePing(false, [8]byte{1, 2, 3, 4, 5, 6, 7, 8})
	r.want("answer", r.run(), "PING ack 0102030405060708")
	if next, err := r.Tick(r.at.Add(time.Hour)); err != nil || !next.IsZero() || r.frames() != "" {
		t.Errorf("without streams: %v %v", next, err)
	}
	r.get(1, true)
	r.run()
	next, _ := r.Tick(r.at)
	if !next.Equal(r.at.Add(cfg.Silence)) {
		t.Errorf("next %v", next)
	}
	next, _ = r.Tick(next)
	r.want("asked", r.frames(), "PING")
	var payload [8]byte
	binary.BigEndian.PutUint64(payload[:], alivePing)
	r.at = next.Add(-time.Second)
	r.WritePing(true, payload)
	r.run()
	if _, err := r.Tick(next); err != nil {
		t.Errorf("it has answered: %v", err)
	}
	r.Tick(r.at.Add(cfg.Silence))
	if _, err := r.Tick(r.at.Add(2 * cfg.Silence)); err == nil {
		t.Error("silent for ever")
	}
	for _, c := range []struct {
		stream uint32
		size   int
		want   string
	}{{1, 8, "PROTOCOL_ERROR"}, {0, 7, "FRAME_SIZE_ERROR"}} {
		r := server(t)
		r.WriteRawFrame(http2.FramePing, 0, c.stream, make([]byte, c.size))
		r.want("invalid", r.run(), "GOAWAY 0 "+c.want)
	}
}

// Any number of interim responses goes before the final one.
func TestPoint14Interim(t *testing.T) {
	r := client(t)
	r.request("GET", true)
	r.request("GET", true)
	r.frames()
	r.header(1, false, ":status", "100")
	r.header(1, false, ":status", "103", "link", "x")
	r.header(1, true, ":status", "200")
	r.want("three", r.run(), "header 1 100", "header 1 103 link=x", "header 1 200 end")
	r.header(3, true, ":status", "103")
	r.want("an end too early", r.run(), "reset 3 PROTOCOL_ERROR malformed", "RST_STREAM 3 PROTOCOL_ERROR")
}

// A trailer ends its message.
func TestPoint15Trailers(t *testing.T) {
	r := server(t)
	r.get(1, false)
	r.header(1, true, "x-sum", "1")
	r.want("trailer", r.run(), "header 1 GET /", "trailer 1 x-sum=1")
	for name, do := range map[string]func(r *rig){
		"without end": func(r *rig) { r.header(1, false, "x", "1") }, "pseudo-header": func(r *rig) { r.header(1, true, ":path", "/") },
		"connection": func(r *rig) { r.header(1, true, "connection", "x") },
	} {
		r := server(t)
		r.get(1, false)
		r.run()
		do(r)
		r.want(name, r.run(), "reset 1 PROTOCOL_ERROR malformed", "RST_STREAM 1 PROTOCOL_ERROR")
	}
	r = server(t)
	r.get(1, true)
	r.header(1, true, "x", "1")
	r.want("after the end", r.run(), "header 1 GET / end", "reset 1 STREAM_CLOSED malformed", "RST_STREAM 1 STREAM_CLOSED")
}

// What is not known is ignored, and what nobody may send ends the connection.
func TestPoint16OtherFrames(t *testing.T) {
	r := server(t)
	for kind := http2.FrameType(0xa); kind < 0x20; kind++ {
		r.WriteRawFrame(kind, 0xff, 1, []byte("anything"))
	}
	r.WritePriority(5, http2.PriorityParam{StreamDep: 3})
	r.get(1, true)
	r.want("ignored", r.run(), "header 1 GET / end")
	for name, do := range map[string]func(r *rig){
		"PUSH_PROMISE":          func(r *rig) { r.WriteRawFrame(http2.FramePushPromise, 4, 1, make([]byte, 4)) },
		"DATA on 0":             func(r *rig) { r.WriteData(0, false, nil) },
		"DATA on idle":          func(r *rig) { r.WriteData(1, false, nil) },
		"DATA of padding alone": func(r *rig) { r.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, []byte{5, 0}) },
		"HEADERS on 0":          func(r *rig) { r.get(0, true) },
		"HEADERS on even":       func(r *rig) { r.get(2, true) },
		"HEADERS below":         func(r *rig) { r.get(5, true); r.get(3, true) },
		"RST_STREAM on 0":       func(r *rig) { r.WriteRSTStream(0, 0) },
		"RST_STREAM on idle":    func(r *rig) { r.WriteRSTStream(1, 0) },
		"PRIORITY on 0":         func(r *rig) { r.WritePriority(0, http2.PriorityParam{StreamDep: 1}) },
		"PRIORITY on itself":    func(r *rig) { r.WritePriority(1, http2.PriorityParam{StreamDep: 1}) },
		"GOAWAY on a stream":    func(r *rig) { r.WriteRawFrame(http2.FrameGoAway, 0, 1, make([]byte, 8)) },
	} {
		r := server(t)
		do(r)
		if got := r.run(); !strings.Contains(got, "GOAWAY") || !strings.HasSuffix(got, "PROTOCOL_ERROR") {
			t.Errorf("%s: %s", name, got)
		}
		if err := r.Receive(r.at, []byte{0}); err == nil {
			t.Errorf("%s: still there", name)
		}
	}
	for name, do := range map[string]func(r *rig){
		"long":       func(r *rig) { r.WriteData(1, false, make([]byte, 16385)) },
		"RST_STREAM": func(r *rig) { r.WriteRawFrame(http2.FrameRSTStream, 0, 1, make([]byte, 3)) },
		"GOAWAY":     func(r *rig) { r.WriteRawFrame(http2.FrameGoAway, 0, 0, make([]byte, 7)) },
		"HEADERS":    func(r *rig) { r.WriteRawFrame(http2.FrameHeaders, http2.FlagHeadersPriority, 1, make([]byte, 4)) },
	} {
		r := server(t)
		do(r)
		r.want(name, r.run(), "GOAWAY 0 FRAME_SIZE_ERROR")
	}
	r = server(t)
	r.get(1, true)
	r.run()
	r.Respond(r.streams[1], 1, status("200"), true)
	r.frames()
	r.get(1, true)
	r.want("a stream that has ended", r.run(), "GOAWAY 1 STREAM_CLOSED")
}

// A peer that makes work and moves nothing is sent away.
func TestPoint17Budgets(t *testing.T) {
	post := func(r *rig, id uint32) {
		r.header(id, false, ":method", "POST", ":scheme", "https", ":authority", "x", ":path", "/", "content-length", "1")
	}
	for name, attack := range map[string]func(r *rig, i int){
		"rapid reset":                  func(r *rig, i int) { id := uint32(2*i + 1); r.get(id, true); r.WriteRSTStream(id, http2.ErrCodeCancel) },
		"made to reset: WINDOW_UPDATE": func(r *rig, i int) { id := uint32(2*i + 1); r.get(id, true); r.WriteWindowUpdate(id, 0) },
		"made to reset: overflow":      func(r *rig, i int) { id := uint32(2*i + 1); r.get(id, true); r.WriteWindowUpdate(id, maxWindow) },
		"made to reset: HEADERS":       func(r *rig, i int) { id := uint32(2*i + 1); r.get(id, true); r.header(id, true, "x", "1") },
		"made to reset: DATA":          func(r *rig, i int) { id := uint32(2*i + 1); r.get(id, true); r.WriteData(id, true, nil) },
		"made to reset: PRIORITY": func(r *rig, i int) {
			id := uint32(2*i + 1)
			r.get(id, true)
			r.WritePriority(id, http2.PriorityParam{StreamDep: id})
		},
		"made to reset: length": func(r *rig, i int) { id := uint32(2*i + 1); post(r, id); r.WriteData(id, true, nil) },
		"made to reset: header": func(r *rig, i int) { r.header(uint32(2*i+1), true, "x", "1") },
		"made to reset: above a window": func(r *rig, i int) {
			id := uint32(2*i + 1)
			r.get(id, false)
			r.WriteData(id, false, make([]byte, 1001))
		},
		"PING":                func(r *rig, _ int) { r.WritePing(false, [8]byte{}) },
		"SETTINGS":            func(r *rig, _ int) { r.WriteSettings() },
		"answers to SETTINGS": func(r *rig, _ int) { r.WriteSettingsAck() },
		"PRIORITY":            func(r *rig, _ int) { r.WritePriority(9, http2.PriorityParam{StreamDep: 1}) },
		"unknown":             func(r *rig, _ int) { r.WriteRawFrame(0x42, 0, 0, nil) },
		"WINDOW_UPDATE":       func(r *rig, _ int) { r.WriteWindowUpdate(0, 1) },
		"empty DATA": func(r *rig, i int) {
			if i == 0 {
				r.get(1, false)
			}
			r.WriteData(1, false, nil)
		},
		"padding": func(r *rig, i int) {
			if i == 0 {
				r.get(1, false)
			}
			r.WriteDataPadded(1, false, nil, make([]byte, 10))
		},
	} {
		r := server(t)
		i := 0
		for ; i < 100_000 && r.err == nil; i++ {
			attack(r, i)
			if got := r.run(); r.err != nil && !strings.HasSuffix(got, "ENHANCE_YOUR_CALM") {
				t.Errorf("%s: %s", name, got)
			}
			if n := r.Streams(); n > 10 {
				t.Fatalf("%s: %d streams", name, n)
			}
		}
		if r.err == nil {
			t.Errorf("%s: never ends", name)
		}
	}
	// One that moves data may update windows as it likes, and tokens come back with time.
	r := server(t)
	r.get(1, false)
	for i := range 50_000 {
		r.WriteWindowUpdate(0, 1)
		if i%5 == 0 {
			r.WriteData(1, false, []byte("x"))
		}
		if i%100 == 0 {
			r.at = r.at.Add(5 * time.Second)
			r.WritePing(false, [8]byte{})
		}
		if r.run(); r.err != nil {
			t.Fatalf("after %d: %v", i, r.err)
		}
	}
}

// A header that does not come in time ends the connection; a body has its own clocks.
func TestPoint18SlowHeader(t *testing.T) {
	cfg := testConfig()
	cfg.Patience = 10 * time.Second
	late := func(r *rig) error {
		_, err := r.Tick(r.at.Add(cfg.Patience))
		return err
	}
	r := newRig(t, cfg)
	r.get(1, false)
	frame := bytes.Clone(r.in.Bytes())
	r.in.Reset()
	r.in.Write(frame[:5])
	if r.run(); late(r) == nil {
		t.Error("half a frame's head")
	}
	r = newRig(t, cfg)
	r.in.Write(frame[:5])
	r.run()
	r.at = r.at.Add(9 * time.Second)
	r.in.Write(frame[5:])
	if r.run(); late(r) != nil {
		t.Error("it came in time")
	}
	r.WriteData(1, false, make([]byte, 100))
	r.in.Truncate(r.in.Len() - 10)
	if r.run(); late(r) != nil {
		t.Error("half a body")
	}
	r = newRig(t, cfg)
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1})
	r.run()
	began := r.at
	for range 5 {
		r.at = r.at.Add(2 * time.Second)
		r.WriteContinuation(1, false, nil)
		r.run()
	}
	if _, err := r.Tick(began.Add(cfg.Patience)); err == nil {
		t.Error("a block bit by bit")
	}
}

// The preface is the preface, comes whole, and in time.
func TestPoint19Preface(t *testing.T) {
	for name, p := range map[string]string{"HTTP/1.1": "GET / HTTP/1.1\r\n\r\n",
		"almost": strings.Replace(Preface, "SM", "SN", 1), "no SETTINGS": Preface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"} {
		r := &rig{t: t}
		c := New(testConfig(), r, time.Unix(0, 0))
		var err error
		for i := 0; i < len(p) && err == nil; i++ {
			err = c.Receive(time.Unix(0, 0), []byte{p[i]})
		}
		if err == nil || err.(*ConnError).Code != ProtocolError {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg := testConfig()
	cfg.Patience = time.Second
	c := New(cfg, &rig{t: t}, time.Unix(0, 0))
	c.Receive(time.Unix(0, 0), []byte("PRI"))
	if _, err := c.Tick(time.Unix(1, 0)); err == nil {
		t.Error("waits for ever")
	}
	cfg.SawPreface = true
	newRig(t, cfg)
}

// When the socket ends every stream is told.
func TestCloseLosesAll(t *testing.T) {
	r := client(t)
	r.request("GET", true)
	r.frames()
	r.Close()
	r.want("lost", r.frames(), "reset 1 NO_ERROR lost")
	if _, id := r.request("GET", true); id != 0 || r.Err() == nil {
		t.Error("a stream on a closed connection")
	}
}
