package hpack

// An Encoder makes the header blocks of one direction of a connection, in the order in which they are sent. One goroutine at a time
// may use it.
type Encoder struct {
	table    table
	least    int  // smallest limit set since the last block
	resized  bool // the peer has to be told of a new limit
	announce int  // the limit to tell
}

// NewEncoder returns an Encoder whose table may hold DefaultTableSize bytes.
func NewEncoder() *Encoder { return &Encoder{table: table{max: DefaultTableSize}} }

// SetTableSize follows the peer's SETTINGS_HEADER_TABLE_SIZE. No more than DefaultTableSize is used. The next block says so (RFC 7541
// 4.2, RFC 9113 4.3.1).
func (e *Encoder) SetTableSize(n uint32) {
	size := int(min(n, DefaultTableSize))
	if size == e.table.max && !e.resized {
		return
	}
	if !e.resized {
		e.least = size
	}
	e.least = min(e.least, size)
	e.resized, e.announce = true, size
	e.table.limit(size)
}

// Begin appends what a header block begins with; fields follow.
func (e *Encoder) Begin(dst []byte) []byte {
	if !e.resized {
		return dst
	}
	e.resized = false
	if e.least < e.announce {
		dst = appendInteger(dst, 0x20, 5, e.least)
	}
	return appendInteger(dst, 0x20, 5, e.announce)
}

// Append appends one field of a block, and notes in it what makes it quicker the next time.
func (e *Encoder) Append(dst []byte, f *Field) []byte {
	whole, name := findStatic(f)
	if whole > 0 && f.Mode != Never {
		return appendInteger(dst, 0x80, 7, whole)
	}
	indexed := f.Mode == Index && f.Size() <= e.table.max && !volatile(f)
	if indexed || name == 0 {
		f.hashes()
		found, named := e.table.find(f)
		if found > 0 && f.Mode != Never {
			return appendInteger(dst, 0x80, 7, found)
		}
		if name == 0 {
			name = named
		}
	}
	switch {
	case indexed:
		dst = appendInteger(dst, 0x40, 6, name)
		e.table.add(*f)
	case f.Mode == Never:
		dst = appendInteger(dst, 0x10, 4, name)
	default:
		dst = appendInteger(dst, 0, 4, name)
	}
	if name == 0 {
		dst = appendText(dst, f.Name)
	}
	return appendText(dst, f.Value)
}

// volatile reports whether a field's value is another with each message, or a secret that the table must not help to guess, whatever
// its sender thinks of it.
func volatile(f *Field) bool {
	switch f.static {
	case 0:
		return f.Name == "traceparent" || f.Name == "grpc-timeout"
	case staticPath, staticPath + 1, staticAuthorization, staticContentLength:
		return true
	}
	return false
}

// Of the static table.
const (
	staticPath          = 4
	staticAuthorization = 23
	staticContentLength = 28
)

// appendText appends a string (RFC 7541 5.2), coded if that makes it no longer.
func appendText(dst []byte, s string) []byte {
	if n := codedLen(s); n <= len(s) && n > 0 {
		return appendCoded(appendInteger(dst, 0x80, 7, n), s)
	}
	return append(appendInteger(dst, 0, 7, len(s)), s...)
}

// appendInteger appends an integer with a prefix of n bits, whose first byte has the bits of first (RFC 7541 5.1).
func appendInteger(dst []byte, first byte, n uint, v int) []byte {
	mask := 1<<n - 1
	if v < mask {
		return append(dst, first|byte(v))
	}
	dst = append(dst, first|byte(mask))
	for v -= mask; v >= 0x80; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(dst, byte(v))
}
