package outside

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/meridian-gslb/meridian/dnsserver/wire"
)

const target = "cdn.example."

func TestTargetsAreResolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, target)
		l.set("cdn.example. A", "CDN.example. 300 CNAME a.cdn.example.", "a.cdn.example. 40 A 192.0.2.2", "a.cdn.example. 40 A 192.0.2.1")
		l.set("cdn.example. AAAA", "NODATA", "soa example. 300 SOA a. b. 1 1 1 1 60")
		l.set("new.example. A", "new.example. 90 A 192.0.2.9")
		defer l.start()()
		select {
		case <-l.FirstRound():
		default:
			t.Fatal("the first round is not over")
		}
		l.want(target, "30 192.0.2.1 192.0.2.2", "none")

		l.retarget(target, "new.example.")
		time.Sleep(publishEvery)
		synctest.Wait()
		l.want(target, "30 192.0.2.1 192.0.2.2", "none")
		l.want("new.example.", "60 192.0.2.9", "none")
		if s := l.Status(); s.Targets != 2 || s.Failing != 0 || s.Unknown != 0 || s.Oldest > 2*time.Second {
			t.Errorf("%+v", s)
		}

		l.retarget("new.example.")
		time.Sleep(publishEvery)
		synctest.Wait()
		l.want(target, "unknown", "unknown")
		l.want("new.example.", "60 192.0.2.9", "none")
		if problems, err := testutil.CollectAndLint(l); err != nil || len(problems) > 0 {
			t.Errorf("metrics: %v, %v", problems, err)
		}
	})
}

// TestRefresh: a target is asked for again when its TTL has run out, between five seconds and an hour, and what changes is published.
func TestRefresh(t *testing.T) {
	for _, c := range []struct {
		ttl         int
		least, most time.Duration
	}{
		{0, 5 * time.Second, 7 * time.Second},
		{20, 20 * time.Second, 22 * time.Second},
		{300, 300 * time.Second, 316 * time.Second},
		{86400, time.Hour, time.Hour + 181*time.Second},
	} {
		t.Run(fmt.Sprint(c.ttl), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, target)
				l.set("cdn.example. A", fmt.Sprintf("cdn.example. %d A 192.0.2.1", c.ttl))
				defer l.start()()
				gen := l.reg.Snapshot().Gen
				time.Sleep(c.most * 3)
				synctest.Wait()
				asked := l.when("cdn.example. A")
				if len(asked) < 3 {
					t.Fatalf("asked %d times", len(asked))
				}
				for i := range asked[1:] {
					if d := asked[i+1].Sub(asked[i]); d < c.least || d > c.most {
						t.Errorf("asked again after %v", d)
					}
				}
				if l.reg.Snapshot().Gen != gen {
					t.Error("a Snapshot was made without a change")
				}
				l.set("cdn.example. A", fmt.Sprintf("cdn.example. %d A 192.0.2.7", c.ttl))
				time.Sleep(c.most + publishEvery)
				synctest.Wait()
				l.want(target, fmt.Sprint(min(max(c.ttl, 1), 60))+" 192.0.2.7", "none")
			})
		})
	}
}

// TestKeptWhileServersFail: RFC 8767. What is known stays with a short TTL, is asked for less and less often, and the log has one
// line for each transition.
func TestKeptWhileServersFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, target)
		l.set("cdn.example. A", "cdn.example. 60 A 192.0.2.1")
		l.set("cdn.example. AAAA", "cdn.example. 60 AAAA 2001:db8::1")
		defer l.start()()
		l.want(target, "60 192.0.2.1", "60 2001:db8::1")
		l.fail(errors.New("is down"), one, two)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		l.want(target, "30 192.0.2.1", "30 2001:db8::1")
		if n := l.lines("do not resolve"); n != 1 {
			t.Errorf("%d log lines of the failure", n)
		}
		gen := l.reg.Snapshot().Gen
		l.questions()
		time.Sleep(time.Hour)
		synctest.Wait()
		l.want(target, "30 192.0.2.1", "30 2001:db8::1")
		if n := len(l.questions()); n < 4*45 || n > 4*61 {
			t.Errorf("asked %d times in an hour", n)
		}
		if s := l.Status(); s.Failing != 2 || s.Oldest < time.Hour {
			t.Errorf("%+v", s)
		}
		if p := l.Problems(); len(p) != 1 || !strings.Contains(p[0], "2 of 2 lookups fail, and nothing is known of 0") {
			t.Errorf("problems: %q", p)
		}
		if n := l.lines("do not resolve"); n != 0 || l.reg.Snapshot().Gen != gen {
			t.Errorf("%d log lines and %d snapshots of a failure that goes on", n, l.reg.Snapshot().Gen-gen)
		}
		l.fail(nil, one, two)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		l.want(target, "60 192.0.2.1", "60 2001:db8::1")
		if p := l.Problems(); p != nil {
			t.Errorf("problems: %q", p)
		}
		if n := l.lines("resolve again"); n != 1 {
			t.Errorf("%d log lines of the recovery", n)
		}
	})
}

// TestUnknownAtFirst: without an answer nothing is known, the first round ends all the same, and the first answer is not far.
func TestUnknownAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, target)
		l.fail(errors.New("is down"), one, two)
		defer l.start()()
		<-l.FirstRound()
		l.want(target, "unknown", "unknown")
		l.set("cdn.example. A", "cdn.example. 60 A 192.0.2.1")
		l.fail(nil, two)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		l.want(target, "60 192.0.2.1", "none")
	})
}

// TestNegativeReplacesAddresses: that a name does not exist any more is an answer, not a failure.
func TestNegativeReplacesAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, target)
		l.set("cdn.example. A", "cdn.example. 60 A 192.0.2.1")
		defer l.start()()
		l.set("cdn.example. A")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		l.want(target, "none", "none")
		if s := l.Status(); s.Failing != 0 || s.Unknown != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestNextServer: the server that answered last is asked first.
func TestNextServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, target)
		l.fail(errors.New("is down"), one)
		l.set("cdn.example. A", "cdn.example. 60 A 192.0.2.1")
		defer l.start()()
		l.want(target, "60 192.0.2.1", "none")
		l.questions()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for _, s := range l.questions() {
			if !strings.HasPrefix(s, two.String()) {
				t.Errorf("asked %s", s)
			}
		}
		l.fail(errors.New("is down"), two)
		l.fail(nil, one)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if s := l.Status(); s.Failing != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestConfigure: without servers nothing is asked and nothing waited for; Configure brings them, and what failed is asked for at once.
func TestConfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, target)
		l.set("cdn.example. A", "cdn.example. 60 A 192.0.2.1")
		l.Configure(Config{})
		defer l.start()()
		<-l.FirstRound()
		time.Sleep(time.Hour)
		if asked, p := l.questions(), l.Problems(); asked != nil || len(p) != 1 || !strings.Contains(p[0], "no resolver") {
			t.Errorf("asked %q, problems %q", asked, p)
		}
		l.fail(errors.New("is down"), one)
		l.Configure(Config{Servers: []netip.AddrPort{one}})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		l.want(target, "unknown", "unknown")
		l.Configure(Config{Servers: []netip.AddrPort{two}})
		time.Sleep(publishEvery)
		synctest.Wait()
		l.want(target, "60 192.0.2.1", "none")
	})
}

// TestBounds: no more targets than MaxTargets, no more lookups at one time than inFlight, however slow they are.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []string
		for i := range MaxTargets + 3 {
			names = append(names, fmt.Sprintf("n%05d.example.", i))
		}
		l := newLab(t, names...)
		l.hold = func(context.Context) error { time.Sleep(10 * time.Millisecond); return nil }
		defer l.start()()
		<-l.FirstRound()
		if l.most != inFlight {
			t.Errorf("%d lookups at one time", l.most)
		}
		if s := l.Status(); s.Targets != MaxTargets || s.Ignored != 3 {
			t.Errorf("%+v", s)
		}
		if n := l.reg.Snapshot().Outside.Len(); n != MaxTargets {
			t.Errorf("%d names known", n)
		}
		l.want("n10002.example.", "unknown", "unknown")
		if n, p := l.lines("too many alias targets"), l.Problems(); n != 1 || len(p) != 1 {
			t.Errorf("%d log lines, problems %q", n, p)
		}
	})
}

// TestTargetGoesWhileAsked: the result for a target that is gone, or that came back meanwhile, is thrown away.
func TestTargetGoesWhileAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, target)
		l.set("cdn.example. A", "cdn.example. 60 A 192.0.2.1")
		l.hold = func(context.Context) error { time.Sleep(time.Second); return nil }
		defer l.start()()
		l.retarget()
		<-l.FirstRound()
		l.retarget(target)
		time.Sleep(time.Second / 2)
		l.want(target, "unknown", "unknown")
		time.Sleep(3 * time.Second)
		synctest.Wait()
		l.want(target, "60 192.0.2.1", "none")
		if n := len(l.when("cdn.example. A")); n != 2 {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestRunEnds: Run ends at once with lookups under way, and runs once.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, target)
		l.hold = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		stop := l.start()
		begun := time.Now()
		stop()
		if d := time.Since(begun); d != 0 {
			t.Errorf("it took %v", d)
		}
		if err := l.Run(t.Context()); err == nil {
			t.Error("Run twice")
		}
		if _, known := l.reg.Snapshot().Outside.Find(name(t, target), wire.TypeA); known {
			t.Error("known without an answer")
		}
	})
}
