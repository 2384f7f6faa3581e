package consul

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/meridian-gslb/meridian/registry/shared"
)

// A KV is a part of Consul's key-value store, as package shared wants it.
type KV struct {
	source *Source
	prefix string
}

// KV returns the part where nodes share what operators decide, in the agent's own datacenter.
func (s *Source) KV() *KV { return &KV{s, s.cfg.KVPrefix + "/overrides/"} }

// List returns all that is below the prefix; see shared.KV.
func (kv *KV) List(ctx context.Context, index uint64) (items map[string]shared.Item, next uint64, err error) {
	o, cancel, err := kv.source.options(ctx, "", index)
	defer cancel()
	if err != nil {
		return nil, 0, err
	}
	o.AllowStale = false
	pairs, meta, err := kv.source.client.KV().List(kv.prefix, o)
	if err != nil {
		return nil, 0, fmt.Errorf("consul: %w", err)
	}
	items = make(map[string]shared.Item, len(pairs))
	for _, p := range pairs {
		if key := strings.TrimPrefix(p.Key, kv.prefix); key != "" {
			items[key] = shared.Item{Value: p.Value, Index: p.ModifyIndex}
		}
	}
	return items, nextIndex(index, meta.LastIndex), nil
}

// Set writes a key if its index is still this one; see shared.KV.
func (kv *KV) Set(ctx context.Context, key string, value []byte, index uint64) (bool, error) {
	token, err := kv.source.token.read(time.Now())
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	done, _, err := kv.source.client.KV().CAS(&api.KVPair{Key: kv.prefix + key, Value: value, ModifyIndex: index}, (&api.WriteOptions{Token: token}).WithContext(ctx))
	if err != nil {
		return false, fmt.Errorf("consul: %w", err)
	}
	return done, nil
}
