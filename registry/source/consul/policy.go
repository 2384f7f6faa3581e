package consul

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Policy returns the smallest ACL policy, in HCL, that lets a Source read what is wanted, the services and the nodes that their instances are
// on, and nodes share what operators decide.
// See https://developer.hashicorp.com/consul/docs/security/acl/acl-rules.
func Policy(cfg Config, w Wanted) string {
	names := slices.Compact(slices.Sorted(maps.Values(w.Services)))
	var b strings.Builder
	indent, end := "", ""
	if cfg.Partition != "" {
		fmt.Fprintf(&b, "partition %q {\n", cfg.Partition)
		indent, end = indent+"  ", "}\n"+end
	}
	if cfg.Namespace != "" {
		fmt.Fprintf(&b, "%snamespace %q {\n", indent, cfg.Namespace)
		end = indent + "}\n" + end
		indent += "  "
	}
	for _, name := range names {
		fmt.Fprintf(&b, "%sservice %q {\n%s  policy = \"read\"\n%s}\n", indent, name, indent, indent)
	}
	if cfg.KVPrefix != "" {
		fmt.Fprintf(&b, "%skey_prefix %q {\n%s  policy = \"write\"\n%s}\n", indent, cfg.KVPrefix+"/overrides/", indent, indent)
	}
	fmt.Fprintf(&b, "%snode_prefix \"\" {\n%s  policy = \"read\"\n%s}\n", indent, indent, indent)
	return b.String() + end
}
