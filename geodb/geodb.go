// Package geodb reads geo databases in the MaxMind DB format: City, Country and ASN databases of MaxMind and DB-IP, and the flat ones of IPinfo. It
// takes bytes and opens nothing. All of a database is read at once, every record of it, into a table of networks: what is wrong with it is known then, and
// nothing of the bytes is looked at afterwards.
package geodb

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/meridian-gslb/meridian/policy"
)

// A Database is a geo database that was read. It never changes.
type Database struct {
	Type     string // as the database calls it, such as "GeoLite2-City"
	Built    int64  // when, in seconds since 1970
	Networks int    // how many it has
	Records  int    // how many different records they have
	Table    *policy.NetworkTable
}

// errNotTree says that following the branches of the search tree leads to more networks than there can be.
var errNotTree = errors.New("its search tree is damaged: there are more networks than nodes")

// Read reads a database; name is what its table is called. The error says what is wrong with the bytes: they are of no database, damaged, cut off,
// or of a database that says nothing of where clients are. The bytes are not kept.
func Read(name string, data []byte) (db *Database, err error) {
	defer func() { // the decoder is not ours, and what it reads comes from outside
		if trouble := recover(); trouble != nil {
			db, err = nil, fmt.Errorf("geodb: its contents are damaged: %v", trouble)
		}
	}()
	r, err := maxminddb.OpenBytes(data)
	if err != nil {
		return nil, fmt.Errorf("geodb: this is no MaxMind database, or one that was cut off: %w", err)
	}
	if !separated(data, &r.Metadata) {
		return nil, errors.New("geodb: its contents are damaged: the records do not begin where the search tree ends")
	}
	db = &Database{Type: r.Metadata.DatabaseType, Built: int64(r.Metadata.BuildEpoch)}
	if err := db.fill(name, r); err != nil {
		return nil, fmt.Errorf("geodb: %w", err)
	}
	return db, nil
}

// separated reports whether 16 zero bytes stand between the search tree and the records, as the format wants it.
func separated(data []byte, m *maxminddb.Metadata) bool {
	at := uint64(m.NodeCount) * uint64(m.RecordSize) / 4
	const size = 16
	return at+size <= uint64(len(data)) && string(data[at:at+size]) == string(make([]byte, size))
}

// fill reads all networks, and every record once. The decoder's own Verify would also read what nobody asks for, names in other languages above all:
// on a City database that takes as long again as all the rest, and most of the memory.
func (db *Database) fill(name string, r *maxminddb.Reader) error {
	b := policy.NewTable(name)
	places := map[uint32]uint32{} // of records, by where they are: a file has less than 4 GiB
	useful := false
	left := 4*int(r.Metadata.NodeCount) + 4
	for result := range r.Networks(maxminddb.IncludeNetworksWithoutData()) {
		if left--; left < 0 {
			return errNotTree
		}
		if err := result.Err(); err != nil {
			return err
		}
		if !result.Found() {
			continue
		}
		network := result.Prefix()
		at := uint32(result.Offset())
		place, known := places[at]
		if !known {
			var rec record
			if err := result.Decode(&rec); err != nil {
				return fmt.Errorf("the record of %v: %w", network, err)
			}
			id, err := b.Place(rec.place())
			if err != nil {
				return fmt.Errorf("the record of %v: %w", network, err)
			}
			place, useful = id, useful || id != 0
			places[at] = place
		}
		db.Networks++
		if err := add(b, network, place); err != nil {
			return err
		}
	}
	if !useful {
		return fmt.Errorf("it says nothing of where clients are (its type is %q): a City, Country or ASN database is expected", db.Type)
	}
	db.Records, db.Table = len(places), b.Table()
	return nil
}

// add adds a network. One of IPv6 around the IPv4 addresses, which are in ::/96, is one of all of IPv4 too.
func add(b *policy.TableBuilder, network netip.Prefix, place uint32) error {
	if network.Addr() == netip.IPv6Unspecified() && network.Bits() < 96 {
		if err := b.Add(netip.PrefixFrom(netip.IPv4Unspecified(), 0), place); err != nil {
			return err
		}
	}
	return b.Add(network, place)
}
