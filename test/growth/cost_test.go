//go:build linux

package growth

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rounds is how often the two servers are compared: they take turns, so that whatever else slows the machine down slows both.
const rounds = 5

// dearer returns how many times as much processor time an answer takes in the server of a process, for names drawn from all of its
// zones, as in one that has ten names: the median of some rounds.
func (w *world) dearer(t *testing.T, binary, gen string, pid int, d time.Duration) float64 {
	t.Helper()
	small := world{dir: t.TempDir(), zones: 1, names: 10, steered: w.steered}
	small.write(t)
	_, smallPid := small.start(t, binary)
	queries := min(w.zones*w.names, 1_000_000) // as many for both, so that the generator is as busy
	var ratios []float64
	for range rounds {
		few := small.cost(t, gen, smallPid, queries, d/rounds)
		ratios = append(ratios, w.cost(t, gen, pid, queries, d/rounds)/few)
	}
	slices.Sort(ratios)
	return ratios[rounds/2]
}

var completed = regexp.MustCompile(`Queries completed: (\d+)`)

// cost loads a server for some time with so many random queries, again and again, and returns the processor time that an answer took it,
// in ticks.
func (w *world) cost(t *testing.T, gen string, pid, queries int, d time.Duration) float64 {
	t.Helper()
	before := ticks(t, pid)
	out, err := exec.Command(gen, "-server", w.dns, "-kind", "names", "-zone", "example", "-zones", strconv.Itoa(w.zones),
		"-names", strconv.Itoa(w.names-2), "-queries", strconv.Itoa(queries), "-for", d.String()).Output()
	if err != nil {
		t.Fatal(err)
	}
	used := ticks(t, pid) - before
	m := completed.FindSubmatch(out)
	if m == nil {
		t.Fatalf("no count in %s", out)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil || n == 0 {
		t.Fatalf("nothing is answered: %s", out)
	}
	return max(float64(used), 1) / float64(n)
}

// ticks returns the processor time of a process, in clock ticks.
func ticks(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name of the program, which has no brackets
	fields := strings.Fields(rest)
	sum := 0
	for _, field := range fields[11:13] { // user and system
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}
