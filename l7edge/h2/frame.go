package h2

import (
	"encoding/binary"
	"fmt"
)

// An ErrCode says why a stream or a connection ended (RFC 9113 7).
type ErrCode uint32

// The error codes.
const (
	NoError            ErrCode = 0x0
	ProtocolError      ErrCode = 0x1
	InternalError      ErrCode = 0x2
	FlowControlError   ErrCode = 0x3
	SettingsTimeout    ErrCode = 0x4
	StreamClosed       ErrCode = 0x5
	FrameSizeError     ErrCode = 0x6
	RefusedStream      ErrCode = 0x7
	Cancel             ErrCode = 0x8
	CompressionError   ErrCode = 0x9
	ConnectError       ErrCode = 0xa
	EnhanceYourCalm    ErrCode = 0xb
	InadequateSecurity ErrCode = 0xc
	HTTP11Required     ErrCode = 0xd
)

var errNames = [...]string{"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
	"REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"}

// String returns the name in RFC 9113.
func (e ErrCode) String() string {
	if int(e) < len(errNames) {
		return errNames[e]
	}
	return fmt.Sprintf("ERROR_%#x", uint32(e))
}

// A ConnError ends a connection. Its Code is that of the GOAWAY the peer is sent.
type ConnError struct {
	Code ErrCode
	Why  string
}

// Error returns the code and the reason.
func (e *ConnError) Error() string { return "h2: " + e.Code.String() + ": " + e.Why }

// Frame types (RFC 9113 6).
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	framePriority     = 0x2
	frameRSTStream    = 0x3
	frameSettings     = 0x4
	framePushPromise  = 0x5
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9
)

// Flags of frames.
const (
	flagAck        = 0x1 // SETTINGS, PING
	flagEndStream  = 0x1 // DATA, HEADERS
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// Identifiers of settings (RFC 9113 6.5.2).
const (
	settingHeaderTableSize      = 0x1
	settingEnablePush           = 0x2
	settingMaxConcurrentStreams = 0x3
	settingInitialWindowSize    = 0x4
	settingMaxFrameSize         = 0x5
	settingMaxHeaderListSize    = 0x6
)

const (
	headLen       = 9         // bytes of a frame's head
	maxFrame      = 16 << 10  // bytes of payload that we take, and send at most: the default of SETTINGS_MAX_FRAME_SIZE
	defaultWindow = 65535     // of streams and connections, until something is said (6.9.2)
	maxWindow     = 1<<31 - 1 // 6.9.1
	maxStreamID   = 1<<31 - 1
)

// Preface is what a client's side of a connection begins with (RFC 9113 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// A head is the first nine bytes of a frame (RFC 9113 4.1).
type head struct {
	length int
	kind   uint8
	flags  uint8
	stream uint32
}

func (h *head) has(flag uint8) bool { return h.flags&flag != 0 }

// parseHead reads a head from the first headLen bytes of p.
func parseHead(p []byte) head {
	return head{
		length: int(p[0])<<16 | int(p[1])<<8 | int(p[2]),
		kind:   p[3],
		flags:  p[4],
		stream: binary.BigEndian.Uint32(p[5:]) & maxStreamID,
	}
}

// appendHead appends a head.
func appendHead(dst []byte, length int, kind, flags uint8, stream uint32) []byte {
	return append(dst, byte(length>>16), byte(length>>8), byte(length), kind, flags, byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

func appendUint32(dst []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(dst, v) }

// appendSetting appends one entry of a SETTINGS frame.
func appendSetting(dst []byte, id uint16, v uint32) []byte {
	return appendUint32(binary.BigEndian.AppendUint16(dst, id), v)
}

// unpad takes padding off a payload (RFC 9113 6.1), and reports whether it was well-formed.
func unpad(h *head, p []byte) ([]byte, bool) {
	if !h.has(flagPadded) {
		return p, true
	}
	if len(p) == 0 || int(p[0]) > len(p)-1 {
		return nil, false
	}
	return p[1 : len(p)-int(p[0])], true
}
