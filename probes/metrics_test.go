package probes

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/meridian-gslb/meridian/probes/check"
)

// counter returns the sum of all series of a metric.
func counter(t *testing.T, p *Prober, name string) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(p)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		sum := 0.0
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
		return sum
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(Options{}, func(ctx context.Context, endpoint string) error {
			switch endpoint {
			case "web/0":
				return nil
			case "web/1":
				return errRefused
			case "web/2":
				return hang(ctx, endpoint)
			}
			panic("a bug")
		})
		l.Update(many(4, usual))
		l.run(t)
		defer l.stop()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := counter(t, l.Prober, "meridian_probe_in_flight"); got != 1 {
			t.Errorf("%v in flight, want the hanging one", got)
		}
		<-l.FirstRound()
		l.stop()
		for result, least := range map[string]float64{"success": 1, "failure": 1, "timeout": 1, "inconclusive": 1} {
			if got := testutil.ToFloat64(l.metrics.results.WithLabelValues(result)); got < least {
				t.Errorf("result %s counted %v times", result, got)
			}
		}
		if all, timed := counter(t, l.Prober, "meridian_probe_results_total"), counter(t, l.Prober, "meridian_probe_duration_seconds"); all != timed {
			t.Errorf("%v results but %v durations", all, timed)
		}
		if got, want := counter(t, l.Prober, "meridian_panics_recovered_total"), testutil.ToFloat64(l.metrics.inconclusive); got != want {
			t.Errorf("%v panics counted, want %v", got, want)
		}
		if got := counter(t, l.Prober, "meridian_probe_targets"); got != 4 {
			t.Errorf("%v targets, want 4", got)
		}
		problems, err := testutil.CollectAndLint(l.Prober)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	})
}

func TestInconclusiveIsNotTimeout(t *testing.T) {
	if inconclusive(nil) || inconclusive(errRefused) || inconclusive(context.DeadlineExceeded) {
		t.Error("the endpoint's fault counts as ours")
	}
	if !inconclusive(errPanic) {
		t.Error("a panic counts as the endpoint's fault")
	}
	if !check.Timeout(context.DeadlineExceeded) {
		t.Error("a deadline is no timeout")
	}
}
