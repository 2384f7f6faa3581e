package l7edge

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Times of watching certificate files.
const (
	certSettle = 200 * time.Millisecond // after a change, for the second file of the pair to follow
	certPoll   = time.Minute            // for file systems that tell of no change, and for renewal of the self-signed certificate
)

// watch reloads certificates when their files change, until ctx ends. It watches directories and not files, because files are
// replaced by renaming, and by symbolic links further up (Kubernetes); and it looks every minute whatever the file system says.
func (s *certStore) watch(ctx context.Context) {
	var events chan fsnotify.Event
	var errs chan error
	if w, err := fsnotify.NewWatcher(); err != nil {
		s.log.Warn("certificate files are polled only", "err", err)
	} else {
		defer w.Close()
		for _, f := range s.files {
			for _, name := range []string{f.Cert, f.Key} {
				if err := w.Add(filepath.Dir(name)); err != nil {
					s.log.Warn("certificate file is polled only", "file", name, "err", err)
				}
			}
		}
		events, errs = w.Events, w.Errors
	}
	poll := time.NewTicker(certPoll)
	defer poll.Stop()
	settle := time.NewTimer(0) // the files may have changed since they were first read
	defer settle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-events:
			settle.Reset(certSettle)
		case err := <-errs:
			s.log.Warn("watching certificate files", "err", err)
			settle.Reset(certSettle) // the queue may have overflowed
		case <-settle.C:
			s.reload(time.Now())
		case now := <-poll.C:
			s.reload(now)
		}
	}
}
