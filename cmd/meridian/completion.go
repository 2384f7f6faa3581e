package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meridian-gslb/meridian/admin"
	"github.com/meridian-gslb/meridian/registry/source/embedded"
)

// A choice lists what can stand at one place of a command line, given the arguments before it. It may ask the running process.
type choice func(ctx context.Context, client *admin.Client, args []string) []string

// complete offers a choice for each argument in turn. A shell that waits is worse than one that offers nothing, so it does not wait
// long.
func (c *cli) complete(choices ...choice) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if len(args) >= len(choices) {
			return nil, none
		}
		client, err := c.client()
		if err != nil {
			return nil, none
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
		defer cancel()
		return choices[len(args)](ctx, client, args), none
	}
}

// completeEach offers the same choice for any number of arguments, without those that stand there already.
func (c *cli) completeEach(each choice) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		list, directive := c.complete(each)(cmd, nil, word)
		return slices.DeleteFunc(list, func(s string) bool { return slices.Contains(args, s) }), directive
	}
}

// files offers the names of configuration files for the first most arguments.
func files(most int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
	}
}

// oneOf offers fixed words.
func oneOf(words ...string) choice {
	return func(context.Context, *admin.Client, []string) []string { return words }
}

// targetNames are all sites, services and endpoints.
func targetNames(ctx context.Context, client *admin.Client, _ []string) (names []string) {
	s, err := client.Status(ctx)
	if err != nil {
		return nil
	}
	for _, site := range s.Sites {
		names = append(names, site.Name)
	}
	for _, service := range s.Services {
		names = append(names, service.Name)
		for _, e := range service.Endpoints {
			names = append(names, e.Name)
		}
	}
	return names
}

// overriddenNames are the targets of the overrides in force.
func overriddenNames(ctx context.Context, client *admin.Client, _ []string) (names []string) {
	list, err := client.Overrides(ctx)
	if err != nil {
		return nil
	}
	for _, o := range list {
		names = append(names, o.Target.String())
	}
	return names
}

func siteNames(ctx context.Context, client *admin.Client, _ []string) (names []string) {
	s, err := client.Status(ctx)
	if err != nil {
		return nil
	}
	for _, site := range s.Sites {
		names = append(names, site.Name)
	}
	return names
}

func serviceNames(ctx context.Context, client *admin.Client, _ []string) (names []string) {
	s, err := client.Status(ctx)
	if err != nil {
		return nil
	}
	for _, service := range s.Services {
		names = append(names, service.Name)
	}
	return names
}

// registeredServices are the services that have registrations, those included that the configuration does not define.
func registeredServices(ctx context.Context, client *admin.Client, _ []string) (names []string) {
	s, err := client.Status(ctx)
	if err != nil {
		return nil
	}
	for _, service := range s.Services {
		if slices.ContainsFunc(service.Endpoints, func(e admin.EndpointStatus) bool { return e.Source == embedded.SourceName }) {
			names = append(names, service.Name)
		}
	}
	for _, o := range s.Orphans {
		names = append(names, o.Service)
	}
	return names
}

// registeredNames are what registered for the service that is the first argument.
func registeredNames(ctx context.Context, client *admin.Client, args []string) (names []string) {
	list, err := client.Registrations(ctx, args[0])
	if err != nil {
		return nil
	}
	for _, r := range list {
		names = append(names, r.Name)
	}
	return names
}

// backendsThat are the demo backends that run, or those that do not.
func backendsThat(run bool) choice {
	return func(ctx context.Context, client *admin.Client, _ []string) (names []string) {
		list, err := client.Backends(ctx)
		if err != nil {
			return nil
		}
		for _, b := range list {
			if b.Running == run {
				names = append(names, b.Name)
			}
		}
		return names
	}
}

// recordTypes are what explain is asked for most.
var recordTypes = strings.Fields("A AAAA CAA CNAME MX NS SOA SRV TXT")
