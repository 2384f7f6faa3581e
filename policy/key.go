package policy

import (
	"encoding/binary"
	"net/netip"
)

// ClientKey returns the Query.Key of the clients around an address: a number that those of one IPv4 /24, or of one IPv6 /56, share, so that the
// machines behind one connection keep together. IPv4 in IPv6 form counts as IPv4. It depends on nothing else, so all nodes of a deployment, and
// simulations, agree on it. An invalid address has a key too.
func ClientKey(addr netip.Addr) uint64 {
	if addr = addr.Unmap(); addr.Is4() {
		a := addr.As4()
		return spreadBits(spreadBits(1) ^ uint64(binary.BigEndian.Uint32(a[:])&^0xff) ^ 0xffff<<32)
	}
	a := addr.As16()
	return spreadBits(spreadBits(binary.BigEndian.Uint64(a[:8]) &^ 0xff))
}

// JointSeconds is how long JointDice stay the same: longer than a client takes to ask for all types of a name, shorter than most TTLs.
const JointSeconds = 8

// JointDice returns Query.Dice for the questions with Query.Joint that a client, by its key, asks at about a time in Unix seconds. All nodes
// roll the same, so it does not matter which of them is asked for which type. Not all clients change their dice at once.
func JointDice(key uint64, now int64) uint64 {
	return spreadBits(key ^ spreadBits(uint64(now+int64(key%JointSeconds))/JointSeconds))
}

// spreadBits is a bijection that spreads every bit of x over all others (the finalizer of splitmix64).
func spreadBits(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
