package embedded_test

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
	"github.com/meridian-gslb/meridian/registry/store"
)

// childEnv names the directory in which a child process writes until it is killed.
const childEnv = "MERIDIAN_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := crashChild(dir); err != nil {
			log.Fatal(err)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	crashWriters = 8 // each with keys of its own, so that the order of its writes is known
	crashKeys    = 6 // of each
)

// crashChild writes registrations, withdrawals and overrides as fast as it can. Before each write it prints "try KEY VALUE", after its
// acknowledgement "ack KEY VALUE"; VALUE is the port registered, or the length of the override's reason, or 0 for a deletion.
func crashChild(dir string) error {
	db, err := store.Open(dir)
	if err != nil {
		return err
	}
	local, err := embedded.New(db, embedded.Options{})
	if err != nil {
		return err
	}
	truth := registry.New(registry.Options{Store: db})
	if err := truth.Restore(); err != nil {
		return err
	}
	fmt.Println("ready")
	errs := make(chan error)
	for w := range crashWriters {
		go func() { errs <- crashWriter(w, local, truth) }()
	}
	return <-errs
}

func crashWriter(w int, local *embedded.Registry, truth *registry.Registry) error {
	dice := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), uint64(w)))
	for {
		key, value := fmt.Sprintf("w%d-%d", w, dice.IntN(crashKeys)), 1+dice.IntN(900)
		if dice.IntN(3) == 0 {
			value = 0
		}
		override := dice.IntN(8) == 0
		if override {
			key = "o" + key
		}
		fmt.Printf("try %s %d\n", key, value)
		if err := crashWrite(local, truth, override, key, value); err != nil {
			return err
		}
		fmt.Printf("ack %s %d\n", key, value)
	}
}

func crashWrite(local *embedded.Registry, truth *registry.Registry, override bool, key string, value int) error {
	switch target := (registry.Target{Kind: registry.KindSite, Name: key}); {
	case override && value > 0:
		return truth.Force(registry.Override{Target: target, State: policy.Drained, Reason: strings.Repeat("r", value)})
	case override:
		if err := truth.Unforce(target); err != nil && !strings.Contains(err.Error(), registry.ErrNoOverride.Error()) {
			return err
		}
		return nil
	case value > 0:
		_, _, err := local.Register(embedded.Registration{Service: "web", Name: key, Address: []netip.Addr{netip.MustParseAddr("192.0.2.1")}, Port: uint16(value)})
		return err
	}
	if err := local.Deregister("web", key); err != nil && err != embedded.ErrNotFound {
		return err
	}
	return nil
}

// TestKill9LosesNothing kills a process that writes, again and again at random moments, on one and the same directory. What was
// acknowledged is there afterwards, what was acknowledged as deleted is not, and of a write under way either the old or the new is found.
func TestKill9LosesNothing(t *testing.T) {
	dir := t.TempDir()
	model := map[string]int{}
	acks := 0
	for range 25 {
		pending := runAndKill(t, dir, model, &acks)
		for key, got := range contents(t, dir) {
			if tried, ok := pending[key]; got != model[key] && (!ok || got != tried) {
				t.Fatalf("%s is %d, acknowledged %d, tried %d (%v)", key, got, model[key], tried, ok)
			}
			model[key] = got
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("25 kills, %d acknowledged writes, none lost", acks)
	if acks < 25*crashWriters {
		t.Errorf("only %d acknowledged writes: this shows too little", acks)
	}
}

// runAndKill lets a child write for a random time, kills it, notes in model what it acknowledged, and returns what was under way.
func runAndKill(t *testing.T, dir string, model map[string]int, acks *int) (pending map[string]int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self, "-test.run=^$")
	child.Env = append(os.Environ(), childEnv+"="+dir)
	child.Stderr = t.Output()
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if first, err := lines.ReadString('\n'); err != nil || first != "ready\n" {
		_ = child.Process.Kill()
		t.Fatalf("the child did not start: %q, %v; %v", first, err, child.Wait())
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		time.Sleep(time.Duration(rand.Int64N(int64(120 * time.Millisecond)))) // real time: a real process is killed
		if err := child.Process.Kill(); err != nil {
			t.Error(err)
		}
	})
	pending = map[string]int{}
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF { // a half line is no acknowledgement
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		word := strings.Fields(line)
		value, err := strconv.Atoi(word[2])
		if err != nil {
			t.Fatal(err)
		}
		if word[0] == "ack" {
			model[word[1]] = value
			delete(pending, word[1])
			*acks++
		} else {
			pending[word[1]] = value
		}
	}
	wg.Wait()
	if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the child ended with %v", err)
	}
	return pending
}

// contents opens a directory as a starting process would, and returns what each key that a child may write has, 0 for nothing.
func contents(t *testing.T, dir string) map[string]int {
	t.Helper()
	db, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	got := map[string]int{}
	for w := range crashWriters {
		for k := range crashKeys {
			name := fmt.Sprintf("w%d-%d", w, k)
			got[name], got["o"+name] = 0, 0
		}
	}
	local, err := embedded.New(db, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range local.List("web") {
		got[r.Name] = int(r.Port)
	}
	truth := registry.New(registry.Options{Store: db})
	if err := truth.Restore(); err != nil {
		t.Fatal(err)
	}
	for _, o := range truth.Overrides() {
		got[o.Target.Name] = len(o.Reason)
	}
	return got
}
