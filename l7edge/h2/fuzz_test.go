package h2

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

// seeds are what peers may send after the greeting.
func seeds(f *testing.F) {
	r := newRig(f, testConfig())
	r.get(1, false, "x", "y")
	r.WriteData(1, false, make([]byte, 100))
	r.WriteDataPadded(1, false, make([]byte, 10), make([]byte, 20))
	r.header(1, true, "x-trailer", "1")
	r.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: r.fields(":method", "GET", ":scheme", "https"), PadLength: 3})
	r.WriteContinuation(3, false, r.fields(":authority", "x"))
	r.WriteContinuation(3, true, r.fields(":path", "/"))
	r.WritePriority(3, http2.PriorityParam{StreamDep: 1, Weight: 3})
	r.WriteWindowUpdate(3, 100)
	r.WriteWindowUpdate(0, 100)
	r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 5}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 5})
	r.WritePing(false, [8]byte{1})
	r.WriteRSTStream(3, http2.ErrCodeCancel)
	r.WriteGoAway(0, http2.ErrCodeNo, []byte("x"))
	f.Add(r.in.Bytes(), uint16(7))
}

// Whatever comes, and in whatever pieces: the same happens as if it came at once; and where x/net's Framer finds that the connection
// cannot go on, so do we, and where we find a frame or a block malformed, so does it.
func FuzzReceive(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte, size uint16) {
		whole := newRig(t, testConfig())
		whole.in.Write(data)
		want := whole.run()
		pieces := newRig(t, testConfig())
		for rest := data; len(rest) > 0 && pieces.err == nil; {
			n := min(len(rest), 1+int(size))
			pieces.err = pieces.Receive(pieces.at, rest[:n])
			rest = rest[n:]
		}
		if got := pieces.frames(); got != want || fmt.Sprint(pieces.err) != fmt.Sprint(whole.err) {
			t.Fatalf("in pieces of %d: %v\n%s\nat once: %v\n%s", 1+int(size), pieces.err, got, whole.err, want)
		}

		theirs := http2.NewFramer(nil, bytes.NewReader(wholeFrames(data))) // it looks at the heads of others, too
		theirs.SetMaxReadFrameSize(maxFrame)
		var lost error
		for lost == nil {
			_, err := theirs.ReadFrame()
			var stream http2.StreamError
			if err != nil && !errors.As(err, &stream) {
				lost = err
			}
		}
		var conn http2.ConnectionError
		fatal := errors.As(lost, &conn) || errors.Is(lost, http2.ErrFrameTooLarge)
		if fatal && whole.err == nil {
			t.Fatalf("x/net: %v\n%s", lost, want)
		}
		var ours *ConnError
		if errors.As(whole.err, &ours) && ours.Code == FrameSizeError && !fatal {
			if !strings.Contains(ours.Why, "PRIORITY") && !strings.Contains(ours.Why, "SETTINGS") { // x/net: errors of the stream; an answer's length
				t.Fatalf("%v; x/net: %v", ours, lost)
			}
		}
	})
}

// wholeFrames returns the frames at the beginning of data that are whole, or too long.
func wholeFrames(data []byte) []byte {
	n := 0
	for len(data)-n >= headLen {
		h := parseHead(data[n:])
		if h.length <= maxFrame && len(data)-n < headLen+h.length {
			break
		}
		n = min(len(data), n+headLen+h.length)
	}
	return data[:n]
}

// A model is a server's view of a connection, as simple as can be.
type model struct {
	state   map[uint32]uint8 // of streams that were begun
	reset   map[uint32]bool  // those that either side has reset
	last    uint32
	send    map[uint32]int64 // windows of streams
	conn    int64            // that of the connection
	initial int64
	got     map[uint32]int64 // what the peer may send
	dead    bool
}

// States of a stream: the request is going on, or over; the response is not.
const (
	requesting uint8 = 1 + iota
	requested
	closed
)

// header predicts what comes of a request, or of a trailer: "" nothing, "ok", "stream" an error of the stream, "conn" of the connection.
func (m *model) header(id uint32, end bool) string {
	switch {
	case id > m.last:
		m.last = id
		if len(m.open()) >= 10 {
			m.state[id], m.reset[id] = closed, true
			return "stream"
		}
		m.state[id], m.send[id], m.got[id] = requesting, m.initial, 1000
		if end {
			m.state[id] = requested
		}
		return "ok"
	case m.state[id] == requesting && end:
		m.state[id] = requested
		return "ok"
	case m.state[id] == requesting, m.state[id] == requested:
		m.state[id], m.reset[id] = closed, true
		return "stream"
	case m.reset[id]:
		return "any"
	}
	return "conn"
}

func (m *model) data(id uint32, n int, end bool) string {
	m.got[id] -= int64(n)
	switch {
	case id > m.last:
		return "conn"
	case m.state[id] == requesting && m.got[id] >= 0:
		if end {
			m.state[id] = requested
		} else if m.got[id] <= 500 { // all is given back at once, half a window at a time
			m.got[id] = 1000
		}
		return "ok"
	case m.state[id] == requesting, m.state[id] == requested:
		m.state[id], m.reset[id] = closed, true
		return "stream"
	case m.state[id] == closed:
		return "any"
	}
	return "any" // left out: below one that was opened
}

func (m *model) window(id uint32, n uint32) string {
	if id == 0 {
		if m.conn += int64(n); n == 0 || m.conn > maxWindow {
			return "conn"
		}
		return "ok"
	}
	switch {
	case id > m.last:
		return "conn"
	case m.state[id] != requesting && m.state[id] != requested:
		return "ok"
	}
	if m.send[id] += int64(n); n == 0 || m.send[id] > maxWindow {
		m.state[id], m.reset[id] = closed, true
		return "stream"
	}
	return "ok"
}

func (m *model) open() (ids []uint32) {
	for id, s := range m.state {
		if s == requesting || s == requested {
			ids = append(ids, id)
		}
	}
	return ids
}

// Random frames and random answers, valid and not: the Conn does what a model of a connection says, and never sends more than the windows
// that the peer has opened.
func FuzzStreams(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 1, 200, 5, 1, 0, 6, 1, 255, 3, 1, 1, 7, 1, 0})
	f.Add([]byte{0, 3, 1, 0, 1, 1, 4, 0, 0, 6, 3, 255, 6, 3, 255, 3, 3, 2, 2, 3, 0, 0, 3, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		r := newRig(t, testConfig())
		m := &model{state: map[uint32]uint8{}, reset: map[uint32]bool{}, send: map[uint32]int64{},
			got: map[uint32]int64{}, conn: defaultWindow, initial: defaultWindow}
		responded := map[uint32]bool{}
		for ; len(ops) >= 3 && !m.dead; ops = ops[3:] {
			id, arg := uint32(ops[1]%32)*2+1, ops[2]
			want := "ok"
			switch op := ops[0] % 9; op {
			case 0:
				if id <= m.last {
					r.header(id, arg&1 == 1, "x-trailer", "1")
				} else {
					r.get(id, arg&1 == 1)
				}
				want = m.header(id, arg&1 == 1)
			case 1:
				n := int(arg) * 5
				r.WriteData(id, arg&1 == 1, make([]byte, n))
				want = m.data(id, n, arg&1 == 1)
			case 2:
				r.WriteRSTStream(id, http2.ErrCodeCancel)
				if id > m.last {
					want = "conn"
				} else {
					m.state[id], m.reset[id] = closed, true
				}
			case 3:
				n := []uint32{0, 1, 1000, maxWindow, maxWindow / 2}[arg%5]
				if arg >= 128 {
					id = 0
				}
				r.WriteWindowUpdate(id, n)
				want = m.window(id, n)
			case 4:
				n := int64(arg) * 300
				r.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(n)})
				for _, id := range m.open() {
					if m.send[id] += n - m.initial; m.send[id] > maxWindow {
						want = "conn"
					}
				}
				m.initial = n
			case 5, 6, 7: // of the owner: header, data, end
				s := r.streams[id]
				if s == nil || m.state[id] != requesting && m.state[id] != requested {
					continue
				}
				switch {
				case op == 5 || !responded[id]:
					r.Respond(s, id, status("200"), false)
					responded[id] = true
				case op == 6:
					r.Conn.Data(s, id, make([]byte, int(arg)*500), false)
				default:
					r.Conn.Reset(s, id, NoError)
					m.state[id], m.reset[id] = closed, true
				}
			case 8:
				r.WriteRawFrame(http2.FrameType(0x10+arg%0xe0), 0, id, nil)
			}
			got := r.run()
			for line := range strings.Lines(got) {
				var n int64
				var stream uint32
				if _, err := fmt.Sscanf(line, "DATA %d %d", &stream, &n); err == nil {
					m.conn -= n
					if m.send[stream] -= n; n > 0 && (m.send[stream] < 0 || m.conn < 0) {
						t.Fatalf("stream %d got %d bytes more than its window, the connection %d", stream, -m.send[stream], -m.conn)
					}
				}
			}
			switch m.dead = want == "conn"; {
			case want == "any" && r.err != nil:
				m.dead = true
			case m.dead != (r.err != nil):
				t.Fatalf("op %v: want %s, error %v\n%s", ops[:3], want, r.err, got)
			case want == "stream" && !strings.Contains(got, fmt.Sprintf("RST_STREAM %d ", id)):
				t.Fatalf("op %v: want the stream reset\n%s", ops[:3], got)
			case want == "ok" && strings.Contains(got, "RST_STREAM") && ops[0]%9 != 7:
				t.Fatalf("op %v: want no stream reset\n%s", ops[:3], got)
			}
			if n := r.Streams(); !m.dead && n != len(m.open()) {
				t.Fatalf("op %v: %d streams, want %d\n%s", ops[:3], n, len(m.open()), got)
			}
		}
		r.Close()
		if r.Streams() != 0 || r.held != 0 {
			t.Fatalf("%d streams and %d bytes are left", r.Streams(), r.held)
		}
	})
}
