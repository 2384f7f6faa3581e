package admin

// DefaultListen is where the admin API listens when the configuration says nothing: on loopback only, because whoever reaches it
// may drain a site.
const DefaultListen = "127.0.0.1:8053"

// A Config says where the admin API is served. It takes effect at start; a reload that changes it is refused.
type Config struct {
	// Listen is one host:port. The host is an address or a name; a name is bound at the first address it resolves to, and requests may
	// use it as their Host. "" means DefaultListen; port 0 lets the system choose (tests). An address that is not loopback opens
	// the API to everyone who can reach it, for it has no accounts of its own: put a firewall or an authenticating proxy before it.
	Listen string
}
