package geodb

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// byNumber tells records of cityDatabase apart, which are too many to be hashed one by one.
type byNumber struct{}

func (byNumber) Key(d mmdbtype.DataType) ([]byte, error) {
	return binary.BigEndian.AppendUint32(nil, uint32(d.(dict)["n"].(mmdbtype.Uint32))), nil
}

// cityDatabase returns the bytes of a database of networks in as many places as a City database has for so many, two thirds of them of IPv4.
// Neighbours differ, which is harder than life.
func cityDatabase(tb testing.TB, networks int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	places := make([]dict, networks*6/100)
	for i := range places {
		c := i % 240
		code := string([]byte{'A' + byte(c/26), 'A' + byte(c%26)})
		places[i] = cityRecord(fmt.Sprint("City ", i/3), fmt.Sprint("S", i%4000), code, []string{"EU", "NA", "AS"}[c%3], r.Float64()*140-60, float64(c)*1.4-175+r.Float64()*10, uint16(1+r.IntN(900)))
		places[i]["n"] = mmdbtype.Uint32(i)
	}
	tree, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "GeoLite2-City", IncludeReservedNetworks: true, DisableIPv4Aliasing: true, KeyGenerator: byNumber{}})
	if err != nil {
		tb.Fatal(err)
	}
	insert := func(ip net.IP, bits int) {
		if err := tree.Insert(&net.IPNet{IP: ip, Mask: net.CIDRMask(bits, 8*len(ip))}, places[r.IntN(len(places))]); err != nil {
			tb.Fatal(err)
		}
	}
	at := uint64(1) << 24
	n := 0
	for ; n < networks*2/3 && at < 224<<24; n++ {
		bits := 20 + r.IntN(9)
		size := uint64(1) << (32 - bits)
		at = (at + size - 1) &^ (size - 1)
		insert(binary.BigEndian.AppendUint32(nil, uint32(at)), bits)
		at += size
	}
	for i := 0; n < networks; i, n = i+1, n+1 {
		insert(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, 0x2001_0000_0000_0000+uint64(i)<<16), 0), 48)
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// BenchmarkRead reads databases; the larger has the size of a City database, and takes minutes to make.
func BenchmarkRead(b *testing.B) {
	for _, networks := range []int{300_000, 5_000_000} {
		b.Run(fmt.Sprint(networks), func(b *testing.B) {
			if networks > 1e6 && testing.Short() {
				b.Skip("it takes minutes to make")
			}
			data := cityDatabase(b, networks)
			b.ReportMetric(float64(len(data))/1e6, "MB-file")
			b.ReportAllocs()
			for b.Loop() {
				if db, err := Read("t", data); err != nil || db.Networks < networks*9/10 {
					b.Fatal(db, err)
				}
			}
		})
	}
}
