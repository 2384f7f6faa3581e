package configs

import "strings"

// A section is one kind of mapping in the file, written as the way to it: "*" stands for any name, "[]" for any position.
type section string

// The sections. Each has its keys here, its decoder beside the room it is for, its definition in schema.json and its table in
// docs/CONFIG.md; tests hold the four together.
const (
	inFile        section = ""
	inSite        section = "sites.*"
	inGeo         section = "geo"
	inNetwork     section = "geo.networks.*"
	inTable       section = "geo.latency"
	inService     section = "services.*"
	inEndpoint    section = "services.*.endpoints[]"
	inProbe       section = "services.*.probe"
	inStage       section = "policies.*[]"
	inHealthy     section = "policies.*[].healthy"
	inTarget      section = "policies.*[].geo.*"
	inLatency     section = "policies.*[].latency"
	inFailover    section = "policies.*[].failover"
	inWeighted    section = "policies.*[].weighted"
	inCanary      section = "policies.*[].canary"
	inSticky      section = "policies.*[].sticky"
	inShed        section = "policies.*[].shed"
	inSchedule    section = "policies.*[].schedule"
	inWindow      section = "policies.*[].schedule.windows[]"
	inBranch      section = "policies.*[].weighted[]"
	inView        section = "views.*"
	inZone        section = "zones.*"
	inSOA         section = "zones.*.soa"
	inRecord      section = "zones.*.records.*"
	inFallback    section = "zones.*.records.*.fallback[]"
	inWhen        section = "zones.*.records.*.when"
	inRoute       section = "routes[]"
	inDNS         section = "dns"
	inTCP         section = "dns.tcp"
	inCookies     section = "dns.cookies"
	inRateLimit   section = "dns.rate_limit"
	inEdge        section = "edge"
	inCertificate section = "edge.certificates[]"
	inAdmin       section = "admin"
	inLog         section = "log"
	inConsul      section = "consul"
	inRedis       section = "redis"
	inRule        section = "services.*.probe.rule"
	inFrom        section = "services.*.from"
	inSafety      section = "safety"
)

// allSections lists the sections in the order of the documentation.
func allSections() []section {
	return []section{inFile, inSite, inGeo, inNetwork, inTable, inService, inEndpoint, inProbe, inStage, inHealthy, inTarget, inLatency, inFailover, inWeighted, inSticky, inCanary, inShed, inSchedule, inWindow, inBranch, inView, inZone, inSOA, inRecord, inFallback, inWhen,
		inRoute, inDNS, inTCP, inCookies, inRateLimit, inEdge, inCertificate, inAdmin, inLog, inConsul, inFrom, inSafety, inRedis, inRule}
}

// keys returns the keys that a section knows, in the order in which they are usually written.
func (s section) keys() []string {
	switch s {
	case inFile:
		return []string{"site", "sites", "geo", "services", "policies", "zones", "views", "routes", "dns", "edge", "admin", "state", "log", "consul", "safety", "redis"}
	case inSite:
		return []string{"at", "region", "edge"}
	case inGeo:
		return []string{"networks", "networks_file", "database", "databases", "max_radius", "latency"}
	case inNetwork:
		return []string{"site", "at", "region"}
	case inTable:
		return []string{"file", "hysteresis"}
	case inService:
		return []string{"endpoints", "from", "probe"}
	case inEndpoint:
		return []string{"name", "address", "host", "text", "alpn", "port", "site", "weight", "load", "meta"}
	case inProbe:
		return []string{"http", "https", "tcp", "grpc", "grpcs", "tls", "dns", "icmp", "exec", "port", "host", "method", "status", "match", "headers", "http2", "server_name", "insecure", "send", "expect", "expiry", "type", "user", "every", "timeout", "rise", "fall", "rule", "hold"}
	case inStage:
		return []string{"healthy", "geo", "latency", "failover", "weighted", "shuffle", "sticky", "one_per", "canary", "schedule", "shed", "take"}
	case inHealthy:
		return []string{"threshold", "min"}
	case inTarget:
		return []string{"sites", "within", "limit", "bias", "fence"}
	case inLatency:
		return []string{"within"}
	case inWeighted:
		return []string{"by"}
	case inCanary:
		return []string{"share", "networks", "sites"}
	case inSticky:
		return []string{"bound"}
	case inShed:
		return []string{"low", "high"}
	case inSchedule:
		return []string{"zone", "windows"}
	case inWindow:
		return []string{"from", "to", "days", "sites"}
	case inBranch:
		return []string{"sites", "weight", "policy", "stages"}
	case inFailover:
		return []string{"sites", "order", "threshold", "trickle"}
	case inView:
		return []string{"networks", "zones"}
	case inZone:
		return []string{"file", "allow", "ns", "soa", "ttl", "ttl_jitter", "records"}
	case inSOA:
		return []string{"mname", "rname", "serial", "refresh", "retry", "expire", "minimum"}
	case inRecord:
		return []string{"when", "ttl", "ttl_jitter", "service", "policy", "types", "fail", "fallback", "via", "alias", "whoami", "A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT", "CAA"}
	case inFallback:
		return []string{"service", "policy"}
	case inWhen:
		return []string{"client", "resolver", "types", "ecs"}
	case inRoute:
		return []string{"host", "path", "service", "policy", "protocol", "retries", "timeout"}
	case inDNS:
		return []string{"listen", "udp_size", "workers", "tcp", "nsid", "identity", "version", "cookies", "rate_limit", "proxy_from", "explain_from", "resolvers"}
	case inTCP:
		return []string{"connections", "per_client", "idle", "io"}
	case inCookies:
		return []string{"secret", "staging", "secret_file", "require"}
	case inRateLimit:
		return []string{"rate", "burst", "slip", "exempt"}
	case inEdge:
		return []string{"https", "http", "certificates", "self_signed", "trusted_proxies", "access_log", "lame_duck", "drain", "connect_timeout", "header_timeout",
			"idle_timeout", "stream_idle_timeout", "max_connections", "max_requests", "max_header_bytes", "max_header_fields", "max_streams", "max_idle_connections"}
	case inCertificate:
		return []string{"cert", "key"}
	case inAdmin:
		return []string{"listen"}
	case inLog:
		return []string{"level", "format"}
	case inRedis:
		return []string{"address", "mode", "master", "username", "password_file", "database", "prefix", "every", "name", "tls", "ca", "cert", "key", "server_name", "insecure"}
	case inRule:
		return []string{"quorum", "share"}
	case inConsul:
		return []string{"address", "token_file", "ca", "cert", "key", "server_name", "datacenters", "sites", "namespace", "partition", "prefix", "addresses", "consistent", "max_watches", "kv"}
	case inFrom:
		return []string{"consul"}
	case inSafety:
		return []string{"max_loss", "hold"}
	}
	return s.scenarioKeys()
}

// synonyms returns words that people write in a section for one of its keys, in lower case.
func (s section) synonyms() map[string]string {
	switch s {
	case inFile:
		return map[string]string{"datadir": "state", "data": "state", "logging": "log", "listeners": "dns", "records": "zones", "backends": "services", "api": "admin", "rules": "routes"}
	case inSite:
		return map[string]string{"location": "at", "coordinates": "at", "lat": "at", "continent": "region", "edges": "edge"}
	case inGeo:
		return map[string]string{"mmdb": "database", "geoip": "database", "db": "database", "files": "databases", "radius": "max_radius", "accuracy": "max_radius", "rtt": "latency", "times": "latency"}
	case inTable:
		return map[string]string{"path": "file", "table": "file", "margin": "hysteresis"}
	case inService:
		return map[string]string{"backends": "endpoints", "targets": "endpoints", "servers": "endpoints", "pool": "endpoints", "check": "probe", "health": "probe", "healthcheck": "probe", "health_check": "probe", "source": "from", "provider": "from"}
	case inEndpoint:
		return map[string]string{"ip": "address", "addr": "address", "target": "host", "hostname": "host", "txt": "text", "protocols": "alpn", "id": "name", "region": "site", "metadata": "meta", "tags": "meta"}
	case inProbe:
		return map[string]string{"interval": "every", "path": "http", "url": "http", "sni": "server_name", "codes": "status", "body": "match", "skip_verify": "insecure", "up": "rise", "down": "fall", "votes": "rule", "quorum": "rule", "vantage": "rule", "hold_down": "hold"}
	case inStage:
		return map[string]string{"weight": "weighted", "random": "weighted", "nearest": "geo", "limit": "take", "first": "take", "health": "healthy", "hash": "sticky", "persistent": "sticky", "shed_load": "shed", "overflow": "shed", "priority": "failover", "split": "weighted", "rtt": "latency", "fastest": "latency"}
	case inHealthy:
		return map[string]string{"up_thresh": "threshold", "share": "threshold", "minimum": "min", "at_least": "min"}
	case inWeighted:
		return map[string]string{"group": "by", "group_by": "by", "grouped": "by", "per": "by"}
	case inFailover:
		return map[string]string{"site": "sites", "groups": "sites", "regions": "order", "by_region": "order", "default": "order", "up_thresh": "threshold", "standby": "trickle"}
	case inCanary:
		return map[string]string{"site": "sites", "percent": "share", "weight": "share", "clients": "networks", "cidrs": "networks", "network": "networks"}
	case inTarget:
		return map[string]string{"site": "sites", "to": "sites", "max": "limit", "max_hosts": "limit", "auto_dc_limit": "limit", "tolerance": "within", "fenced": "fence", "geofence": "fence"}
	case inLatency:
		return map[string]string{"margin": "within", "tolerance": "within"}
	case inSticky:
		return map[string]string{"factor": "bound", "balancing_factor": "bound", "load": "bound", "max_load": "bound"}
	case inShed:
		return map[string]string{"low_watermark": "low", "high_watermark": "high", "target": "low", "capacity": "high", "from": "low", "to": "high"}
	case inSchedule:
		return map[string]string{"timezone": "zone", "time_zone": "zone", "tz": "zone", "times": "windows"}
	case inWindow:
		return map[string]string{"start": "from", "begin": "from", "end": "to", "until": "to", "day": "days", "weekdays": "days", "site": "sites"}
	case inBranch:
		return map[string]string{"site": "sites", "share": "weight", "chain": "stages", "then": "policy"}
	case inZone:
		return map[string]string{"zonefile": "file", "zone_file": "file", "acl": "allow", "allow_from": "allow", "allow_query": "allow", "nameservers": "ns", "names": "records", "default_ttl": "ttl"}
	case inRecord:
		return map[string]string{"aname": "alias", "flatten": "alias", "type": "types", "rrtypes": "types"}
	case inView:
		return map[string]string{"match-clients": "networks", "match_clients": "networks", "clients": "networks", "match": "networks", "nets": "networks", "zone": "zones"}
	case inWhen:
		return map[string]string{"networks": "client", "clients": "client", "subnet": "client", "source": "client", "ldns": "resolver", "resolvers": "resolver", "type": "types", "qtype": "types", "edns": "ecs", "client_subnet": "ecs"}
	case inSOA:
		return map[string]string{"email": "rname", "mail": "rname", "hostmaster": "rname", "primary": "mname", "mbox": "rname", "minttl": "minimum", "negative_ttl": "minimum"}
	case inRoute:
		return map[string]string{"prefix": "path", "hostname": "host", "backend": "service", "retry": "retries", "proto": "protocol"}
	case inDNS:
		return map[string]string{"address": "listen", "edns_size": "udp_size", "bufsize": "udp_size", "threads": "workers", "hostname": "nsid", "server_id": "identity", "id": "identity", "rrl": "rate_limit", "ratelimit": "rate_limit", "explain": "explain_from", "proxy": "proxy_from", "proxy_protocol": "proxy_from", "resolver": "resolvers", "forwarders": "resolvers", "cookie": "cookies"}
	case inCookies:
		return map[string]string{"active": "secret", "key": "secret", "file": "secret_file", "next": "staging", "previous": "staging", "required": "require"}
	case inRateLimit:
		return map[string]string{"limit": "rate", "instant_limit": "burst", "instant": "burst", "per_second": "rate", "responses_per_second": "rate", "allow": "exempt", "whitelist": "exempt"}
	case inEdge:
		return map[string]string{"tls": "https", "listen": "https", "certs": "certificates", "drain_timeout": "drain"}
	case inAdmin:
		return map[string]string{"address": "listen"}
	case inRedis:
		return map[string]string{"addresses": "address", "host": "address", "url": "address", "sentinel": "master", "user": "username", "password": "password_file",
			"db": "database", "node": "name", "period": "every", "interval": "every", "ca_file": "ca"}
	case inConsul:
		return map[string]string{"url": "address", "addr": "address", "token": "token_file", "cacert": "ca", "ca_file": "ca", "datacenter": "datacenters", "dc": "datacenters", "dcs": "datacenters", "require_consistent": "consistent", "tag_prefix": "prefix"}
	}
	return s.scenarioSynonyms()
}

// later says what to do instead of a key that belongs to a later version, "" if it is none.
func (s section) later(key string) string {
	switch string(s) + "/" + key {
	case "services.*.probe/udp", "services.*.probe/external":
		return "use one of http, https, tcp, grpc, grpcs, tls, dns, icmp, exec"
	case "policies.*[]/views", "policies.*[]/subnet":
		return "the stages are " + strings.Join(inStage.keys(), ", ")
	case "zones.*/dnssec":
		return "leave it out: zones are served unsigned"
	case "dns/tls", "dns/https", "dns/quic":
		return "leave it out: dns.listen serves UDP and TCP"
	}
	return ""
}
