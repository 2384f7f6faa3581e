package configs

import (
	"os"

	"github.com/meridian-gslb/meridian/probes/quorum"
)

// prober returns who this process is among probers: its host's name, unless the file says otherwise, its site, and of the site's
// regions the narrowest.
func (f *file) prober() quorum.Prober {
	p := quorum.Prober{Name: f.proberName, Site: f.config.Site}
	if p.Name == "" && f.setting.native {
		if host, err := os.Hostname(); err == nil && len(host) <= quorum.MaxName {
			p.Name = host
		}
	}
	if p.Name == "" {
		p.Name = "local"
	}
	for _, s := range f.spec.Sites {
		if s.Name == p.Site {
			p.Region = s.Region
		}
	}
	if p.Region == "" {
		p.Region = p.Site
	}
	return p
}
