package dnsserver

import (
	"net/netip"

	"github.com/meridian-gslb/meridian/policy"
	"github.com/meridian-gslb/meridian/registry"
)

// An Asking asks one Snapshot many questions, to see what it answers: by the code that answers DNS, but for the dice, which who asks rolls, also
// where they would follow from the time. It belongs to one goroutine at a time.
type Asking struct {
	answerer *Answerer
	query    []byte
	from     netip.AddrPort
	dice     uint64
	out      []byte
}

// NewAsking returns an Asking of a Snapshot, at a time in Unix seconds.
func NewAsking(s *registry.Snapshot, now int64) *Asking {
	k := &Asking{answerer: explainer(s)}
	k.answerer.Dice, k.answerer.Now, k.answerer.freeDice = func() uint64 { return k.dice }, func() int64 { return now }, true
	return k
}

// About begins a question.
func (k *Asking) About(q Question) {
	query, from := ask(&q)
	k.query, k.from = query, netip.AddrPortFrom(from, 53)
}

// Ask asks the question at hand. If a policy decided, steered is true, and the endpoints are valid until the next call; else answers is the number of
// records.
func (k *Asking) Ask(dice uint64) (endpoints []policy.EndpointID, why policy.Reason, steered bool, answers int) {
	a := k.answerer
	k.dice = dice
	k.out = a.Answer(k.out[:0], k.query, k.from, maxMessage)
	answers = int(k.out[6])<<8 | int(k.out[7]) // ANCOUNT (RFC 1035 4.1.1)
	if a.steered == nil {
		return nil, 0, false, answers
	}
	return a.decided.Endpoints, a.decided.Reason, true, answers
}
