package hpack

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lines shows fields as "name: value", one a line, which the mode follows unless it is Index.
func lines(fields []Field) string {
	var b strings.Builder
	for _, f := range fields {
		fmt.Fprintf(&b, "%s: %s%s\n", f.Name, f.Value, [...]string{"", " (noindex)", " (never)"}[f.Mode])
	}
	return b.String()
}

// The examples of RFC 7541 appendix C: the blocks of one connection, what they mean, and how large the table is after each.
func TestAppendixC(t *testing.T) {
	type block struct {
		hex, want string
		table     int
	}
	requests := []string{
		":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n",
		":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\ncache-control: no-cache\n",
		":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value\n",
	}
	responses := []string{
		":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com\n",
		":status: 307\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\nlocation: https://www.example.com\n",
		":status: 200\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:22 GMT\nlocation: https://www.example.com\ncontent-encoding: gzip\n" +
			"set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1\n",
	}
	for name, c := range map[string]struct {
		max    int
		blocks []block
	}{
		"C.2.1": {4096, []block{{"400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", "custom-key: custom-header\n", 55}}},
		"C.2.2": {4096, []block{{"040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path (noindex)\n", 0}}},
		"C.2.3": {4096, []block{{"1008 7061 7373 776f 7264 0673 6563 7265 74", "password: secret (never)\n", 0}}},
		"C.2.4": {4096, []block{{"82", ":method: GET\n", 0}}},
		"C.3": {4096, []block{
			{"8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", requests[0], 57},
			{"8286 84be 5808 6e6f 2d63 6163 6865", requests[1], 110},
			{"8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", requests[2], 164}}},
		"C.4": {4096, []block{
			{"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", requests[0], 57},
			{"8286 84be 5886 a8eb 1064 9cbf", requests[1], 110},
			{"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", requests[2], 164}}},
		"C.5": {256, []block{
			{"4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f" +
				"2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", responses[0], 222},
			{"4803 3330 37c1 c0bf", responses[1], 222},
			{"88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b" +
				"425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31", responses[2], 215}}},
		"C.6": {256, []block{
			{"4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3", responses[0], 222},
			{"4883 640e ffc1 c0bf", responses[1], 222},
			{"88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708" +
				"7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07", responses[2], 215}}},
	} {
		d := NewDecoder(nil)
		d.table.limit(c.max)
		e := NewEncoder()
		e.table.limit(c.max)
		for i, b := range c.blocks {
			raw := unhex(t, b.hex)
			fields, size, err := d.Decode(nil, raw, 1<<20)
			if got := lines(fields); err != nil || got != b.want {
				t.Errorf("%s block %d: %v\n%swant\n%s", name, i, err, got, b.want)
			}
			if d.table.size != b.table {
				t.Errorf("%s block %d: table of %d bytes, want %d", name, i, d.table.size, b.table)
			}
			sum := 0
			for _, f := range fields {
				sum += f.Size()
			}
			if size != sum {
				t.Errorf("%s block %d: size %d, want %d", name, i, size, sum)
			}
			// Where the RFC uses Huffman codes wherever they are shorter, we make the same bytes.
			var out []byte
			for _, f := range fields {
				out = e.Append(out, &f)
			}
			if (name == "C.4" || name == "C.6") && !bytes.Equal(out, raw) {
				t.Errorf("%s block %d: encoded as %x, want %x", name, i, out, raw)
			}
		}
	}
}

// What RFC 7541 says is an error.
func TestMalformedBlocks(t *testing.T) {
	for _, c := range []struct {
		hex  string
		want error
	}{
		{"80", errIndex}, {"be", errIndex}, {"ff 00", errIndex}, {"7f 00 00", errIndex},
		{"40", errShort}, {"40 01", errShort}, {"40 01 61", errShort}, {"40 01 61 02 62", errShort}, {"ff", errShort}, {"ff 80", errShort},
		{"ff ff ff ff ff ff 00", errInteger}, {"ff ff ff ff ff 7f", errInteger}, {"7f 80 80 80 80 80 80 00", errInteger},
		{"3f e2 1f", errResize}, // 4097
		{"82 20", errLateSize}, {"20 3f e1 1f 82", nil}, {"20", nil}, {"", nil},
		{"40 81 ff 01 61", errHuffman},             // eight bits of padding
		{"40 84 ff ff ff ff 01 61", errHuffman},    // eos
		{"40 81 18 01 61", errHuffman},             // "a" and padding that is not all ones
		{"00 81 1f 01 61", nil}, {"00 80 00", nil}, // "a"; an empty string
	} {
		if _, _, err := NewDecoder(nil).Decode(nil, unhex(t, c.hex), 1<<20); err != c.want {
			t.Errorf("%s: %v, want %v", c.hex, err, c.want)
		}
	}
}
