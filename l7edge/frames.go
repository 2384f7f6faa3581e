package l7edge

import (
	"encoding/binary"
	"sync/atomic"
)

// A frameWatch reads along the frames that an endpoint sends over HTTP/2 and counts the streams it resets with PROTOCOL_ERROR.
// http.Transport repeats requests whose stream was reset so, as it does those that the endpoint refused unprocessed, and tells nobody
// which of the two it was.
type frameWatch struct {
	resets atomic.Uint64

	head [frameHead + 4]byte // of the frame at hand, with what follows it if that is an error code
	have int                 // bytes of head
	skip int                 // bytes of the payload that are still to come
}

// Of HTTP/2 (RFC 9113 4.1, 6.4, 7).
const (
	frameHead          = 9
	frameRSTStream     = 3
	errorCodeProtocol  = 1
	rstStreamFrameSize = 4
)

// read takes the next bytes that arrived. It is called by one goroutine at a time.
func (w *frameWatch) read(p []byte) {
	for len(p) > 0 {
		if w.skip > 0 {
			n := min(w.skip, len(p))
			w.skip -= n
			p = p[n:]
			continue
		}
		want := frameHead
		if w.have >= frameHead {
			want += rstStreamFrameSize
		}
		n := copy(w.head[w.have:want], p)
		w.have += n
		p = p[n:]
		if w.have < want {
			return
		}
		length := int(w.head[0])<<16 | int(w.head[1])<<8 | int(w.head[2])
		switch {
		case want > frameHead:
			if binary.BigEndian.Uint32(w.head[frameHead:]) == errorCodeProtocol {
				w.resets.Add(1)
			}
			w.have = 0
		case w.head[3] != frameRSTStream || length != rstStreamFrameSize:
			w.skip, w.have = length, 0
		}
	}
}
