package hpack

// statics is the static table (RFC 7541 appendix A), by index; 0 is none.
var statics = withHashes([...]Field{
	1:  {Name: ":authority"},
	2:  {Name: ":method", Value: "GET"},
	3:  {Name: ":method", Value: "POST"},
	4:  {Name: ":path", Value: "/"},
	5:  {Name: ":path", Value: "/index.html"},
	6:  {Name: ":scheme", Value: "http"},
	7:  {Name: ":scheme", Value: "https"},
	8:  {Name: ":status", Value: "200"},
	9:  {Name: ":status", Value: "204"},
	10: {Name: ":status", Value: "206"},
	11: {Name: ":status", Value: "304"},
	12: {Name: ":status", Value: "400"},
	13: {Name: ":status", Value: "404"},
	14: {Name: ":status", Value: "500"},
	15: {Name: "accept-charset"},
	16: {Name: "accept-encoding", Value: "gzip, deflate"},
	17: {Name: "accept-language"},
	18: {Name: "accept-ranges"},
	19: {Name: "accept"},
	20: {Name: "access-control-allow-origin"},
	21: {Name: "age"},
	22: {Name: "allow"},
	23: {Name: "authorization"},
	24: {Name: "cache-control"},
	25: {Name: "content-disposition"},
	26: {Name: "content-encoding"},
	27: {Name: "content-language"},
	28: {Name: "content-length"},
	29: {Name: "content-location"},
	30: {Name: "content-range"},
	31: {Name: "content-type"},
	32: {Name: "cookie"},
	33: {Name: "date"},
	34: {Name: "etag"},
	35: {Name: "expect"},
	36: {Name: "expires"},
	37: {Name: "from"},
	38: {Name: "host"},
	39: {Name: "if-match"},
	40: {Name: "if-modified-since"},
	41: {Name: "if-none-match"},
	42: {Name: "if-range"},
	43: {Name: "if-unmodified-since"},
	44: {Name: "last-modified"},
	45: {Name: "link"},
	46: {Name: "location"},
	47: {Name: "max-forwards"},
	48: {Name: "proxy-authenticate"},
	49: {Name: "proxy-authorization"},
	50: {Name: "range"},
	51: {Name: "referer"},
	52: {Name: "refresh"},
	53: {Name: "retry-after"},
	54: {Name: "server"},
	55: {Name: "set-cookie"},
	56: {Name: "strict-transport-security"},
	57: {Name: "transfer-encoding"},
	58: {Name: "user-agent"},
	59: {Name: "vary"},
	60: {Name: "via"},
	61: {Name: "www-authenticate"},
})

// withHashes fills in what makes the entries of the static table quick to encode.
func withHashes(t [62]Field) [62]Field {
	for i := range t[1:] {
		f := &t[i+1]
		f.static, f.whole = uint8(i+1), f.Value != ""
		f.hashes()
	}
	return t
}

// staticNames is the first index of each name of the static table.
var staticNames = firstOfEach()

func firstOfEach() map[string]uint8 {
	m := make(map[string]uint8, len(statics))
	for i := len(statics) - 1; i > 0; i-- {
		m[statics[i].Name] = uint8(i)
	}
	return m
}

// findStatic returns the index of the static entry that equals a field, or 0, and that of the first with its name, or 0.
func findStatic(f *Field) (whole, name int) {
	if f.static == 0 {
		f.static = staticNames[f.Name]
	}
	if f.whole {
		return int(f.static), int(f.static)
	}
	if f.static == 0 {
		return 0, 0
	}
	for i := int(f.static); i < len(statics) && statics[i].Name == f.Name; i++ {
		if statics[i].Value == f.Value && f.Value != "" {
			return i, int(f.static)
		}
	}
	return 0, int(f.static)
}
