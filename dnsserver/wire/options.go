package wire

import "encoding/binary"

// EDNS option codes (RFC 5001 2.3, 7871 6, 7873 4, 7828 3.1, 8914 2).
const (
	optNSID      = 3
	optSubnet    = 8
	optCookie    = 10
	optKeepalive = 11
	optError     = 15
)

// optionLen is the length of an option without its data.
const optionLen = 4

// The lengths of cookies: of the client's part (RFC 7873 4.1), and of the server's as all servers make it (RFC 9018 4).
const (
	ClientCookieLen = 8
	ServerCookieLen = 16
)

// An EDE is an extended error: it says more about a response than its code does, to people above all (RFC 8914 4). 0 is none here; its
// registered meaning, "other", says nothing.
type EDE uint16

// The extended errors in use.
const (
	Prohibited       EDE = 18 // this client may not ask
	NotAuthoritative EDE = 20 // no zone of ours
	NotSupported     EDE = 21 // the opcode, class or type
	NoReachable      EDE = 22 // of the servers that had to be asked
	NetworkError     EDE = 23 // what the answer is about cannot be reached
	InvalidQueryType EDE = 30 // a type that may not be asked for (RFC 9824 3.5)
)

// A Builder's options are what goes into the OPT record of a response.
type options struct {
	cookie    [ClientCookieLen + ServerCookieLen]byte
	hasCookie bool
	nsid      string // "" = none
	alive     uint16
	hasAlive  bool
	err       EDE // 0 = none
	errText   string
}

// SetCookie puts a cookie into the response: the client's part as the query has it, and the server's (RFC 7873 5.2). It does nothing
// if the query has none. Like SetNSID and SetKeepalive it comes after Reset and before the records, which get what room is left.
func (b *Builder) SetCookie(server *[ServerCookieLen]byte) {
	if b.q.Cookie == nil {
		return
	}
	b.opt.hasCookie = true
	copy(b.opt.cookie[:], b.q.Cookie[:ClientCookieLen])
	copy(b.opt.cookie[ClientCookieLen:], server[:])
	b.limit -= optionLen + len(b.opt.cookie)
}

// SetNSID puts the server's identifier into the response if the query asks for it (RFC 5001 2.2), and there is room.
func (b *Builder) SetNSID(id string) {
	if !b.q.NSID || len(b.buf)+optionLen+len(id) > b.limit {
		return
	}
	b.opt.nsid = id
	b.limit -= optionLen + len(id)
}

// SetKeepalive says in the response how long the client may leave its connection idle, in units of 100 ms; 0 asks it to close the
// connection (RFC 7828 3.2.2, 3.4). It does nothing if the query has no OPT record.
func (b *Builder) SetKeepalive(units uint16) {
	if !b.q.HasOPT {
		return
	}
	b.opt.alive, b.opt.hasAlive = units, true
	b.limit -= optionLen + 2
}

// SetError gives the response an extended error, with a text for people that may be empty. It takes the room that is left in the end:
// if there is none, the text is left out, then all of it (RFC 8914 3).
func (b *Builder) SetError(code EDE, text string) { b.opt.err, b.opt.errText = code, text }

// appendOptions appends all options to the message. scope is that of the client subnet.
func (b *Builder) appendOptions(scope uint8) {
	if b.q.HasSubnet {
		b.option(optSubnet, len(b.q.subnet))
		b.buf = append(b.buf, b.q.subnet...)
		b.buf[len(b.buf)-len(b.q.subnet)+3] = scope
	}
	if b.opt.hasCookie {
		b.option(optCookie, len(b.opt.cookie))
		b.buf = append(b.buf, b.opt.cookie[:]...)
	}
	if b.opt.nsid != "" {
		b.option(optNSID, len(b.opt.nsid))
		b.buf = append(b.buf, b.opt.nsid...)
	}
	if b.opt.hasAlive {
		b.option(optKeepalive, 2)
		b.buf = binary.BigEndian.AppendUint16(b.buf, b.opt.alive)
	}
	if b.opt.err != 0 {
		b.appendError(b.end - len(b.buf) - optionLen - 2)
	}
}

// appendError appends the extended error if so many bytes are not less than its text's length, or at least not less than 0.
func (b *Builder) appendError(room int) {
	text := b.opt.errText
	if len(text) > room {
		text = ""
	}
	if room < 0 {
		return
	}
	b.option(optError, 2+len(text))
	b.buf = append(binary.BigEndian.AppendUint16(b.buf, uint16(b.opt.err)), text...)
}

// option appends the head of an option.
func (b *Builder) option(code uint16, size int) {
	b.buf = append(b.buf, 0, byte(code), byte(size>>8), byte(size))
}
