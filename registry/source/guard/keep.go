package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/meridian-gslb/meridian/registry"
	"github.com/meridian-gslb/meridian/sealed"
)

// kept is how many Catalogs of a source stay on disk.
const kept = 5

// kind is what a saved Catalog is.
const kind = "meridian catalog 1"

// A keeper keeps the last Catalogs of a source in files.
type keeper struct{ files sealed.Series }

// newKeeper returns that of a source, in a directory; "" is nowhere.
func newKeeper(dir, source string) keeper {
	return keeper{sealed.Series{Dir: dir, Prefix: source + "-", Suffix: ".catalog"}}
}

// load returns the newest Catalog that is sound, nil if there is none, and what is wrong with newer ones that are not.
func (k keeper) load() (c *registry.Catalog, damaged []string, err error) {
	if k.files.Dir == "" {
		return nil, nil, nil
	}
	numbers, err := k.files.Numbers()
	if err != nil {
		return nil, nil, fmt.Errorf("guard: %w", err)
	}
	for _, n := range slices.Backward(numbers) {
		body, err := sealed.Read(k.files.File(n), kind)
		if err == nil {
			c = &registry.Catalog{}
			if err = json.Unmarshal(body, c); err == nil {
				return c, damaged, nil
			}
		}
		damaged = append(damaged, err.Error())
	}
	return nil, damaged, nil
}

// save writes a Catalog beside the others and removes the oldest.
func (k keeper) save(c registry.Catalog) error {
	if k.files.Dir == "" {
		return nil
	}
	c.Refused = nil // the source says so anew
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	numbers, err := k.files.Numbers()
	if err != nil {
		return err
	}
	next := uint64(1)
	if len(numbers) > 0 {
		next = numbers[len(numbers)-1] + 1
	}
	if err := sealed.Write(k.files.File(next), kind, body); err != nil {
		return err
	}
	var errs []error
	for _, n := range numbers[:max(0, len(numbers)+1-kept)] {
		errs = append(errs, os.Remove(k.files.File(n)))
	}
	return errors.Join(errs...)
}
