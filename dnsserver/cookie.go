package dnsserver

// A CookieConfig says how clients are told from those who forge their addresses (RFC 7873, 9018). The zero value is good for a server
// that stands alone: its cookies end with the process, and clients learn new ones by themselves.
type CookieConfig struct {
	// Off ignores cookies.
	Off bool

	// Secrets are what server cookies are made with. The first makes them, all verify them. Servers that share an address need the
	// same ones. To change the secret everywhere without refusing anybody: add the new one in second place on all servers, then put
	// it first on all, then drop the old one an hour later (RFC 9018 5). Default: one at random.
	Secrets [][16]byte

	// Require answers BADCOOKIE, with a good cookie to come back with, to queries over UDP whose cookie we did not make. Those
	// without any cookie, from clients that know of none, are answered all the same. Default false.
	Require bool
}
