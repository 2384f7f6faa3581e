package consul

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// tokenEvery is how often the file of a token is looked at.
const tokenEvery = 5 * time.Second

// maxToken is the most bytes of a token's file.
const maxToken = 4096

// A token is one that is read from a file, again when the file changes. Its zero value has none. It is for concurrent use.
type token struct {
	file string

	mu     sync.Mutex
	text   string
	looked time.Time
	stamp  os.FileInfo
}

// read returns the token; "" if there is no file. A file that cannot be read leaves the token as it was, and is an error.
func (t *token) read(now time.Time) (string, error) {
	if t.file == "" {
		return "", nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.looked.IsZero() && now.Sub(t.looked) < tokenEvery {
		return t.text, nil
	}
	info, err := os.Stat(t.file)
	if err != nil {
		return t.text, fmt.Errorf("the token's file: %w", err)
	}
	if t.stamp != nil && os.SameFile(t.stamp, info) && t.stamp.ModTime().Equal(info.ModTime()) && t.stamp.Size() == info.Size() {
		t.looked = now
		return t.text, nil
	}
	if info.Size() > maxToken {
		return t.text, fmt.Errorf("the token's file %s has %d bytes; at most %d are a token", t.file, info.Size(), maxToken)
	}
	data, err := os.ReadFile(t.file)
	if err != nil {
		return t.text, fmt.Errorf("the token's file: %w", err)
	}
	t.text, t.stamp, t.looked = strings.TrimSpace(string(data)), info, now
	return t.text, nil
}
