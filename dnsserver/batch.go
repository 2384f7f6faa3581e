package dnsserver

// begin comes before the messages of a batch: all of them are answered from one snapshot, at one time. Without a batch for long,
// it lets go of a snapshot that nobody else holds any more.
func (a *Answerer) begin() {
	a.snapshot, a.now = a.Snapshot(), a.Now()
	if a.Limiter != nil {
		a.meter.now = a.Limiter.now()
	}
	a.counters.follow(a.snapshot)
}

// end comes after the messages of a batch: what they counted can be read from now on.
func (a *Answerer) end() {
	a.counters.publish()
}
