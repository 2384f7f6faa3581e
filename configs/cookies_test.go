package configs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Secrets come in their order from the configuration or from a file, which is watched; who may read it is looked at.
func TestCookieSecrets(t *testing.T) {
	const a, b = "000102030405060708090a0b0c0d0e0f", "FFFEFDFCFBFAF9F8F7F6F5F4F3F2F1F0"
	first, last := [16]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, [16]byte{255, 254, 253, 252, 251, 250, 249, 248, 247, 246, 245, 244, 243, 242, 241, 240}
	for src, want := range map[string][][16]byte{
		"dns: {cookies: {staging: " + b + ", secret: " + a + "}}": {first, last},
		"dns: {cookies: {secret: \"" + b + "\"}}":                 {last},
		"dns: {cookies: {require: true}}":                         nil,
		"dns: {cookies: }":                                        nil,
		"dns: {cookies: off}":                                     nil,
	} {
		c := parse(t, src+"\n").DNS.Cookies
		if !slices.Equal(c.Secrets, want) || c.Off != strings.Contains(src, "off") || c.Require != strings.Contains(src, "require") {
			t.Errorf("%s: %+v", src, c)
		}
	}

	dir := t.TempDir()
	main := put(t, filepath.Join(dir, "meridian.yaml"), []byte("dns: {cookies: {secret_file: cookies}}\nzones: {a.example: {ns: ns.example.net.}}\n"))
	secrets := put(t, filepath.Join(dir, "cookies"), []byte(a+"  # in use\n\n"+b+"\n"))
	if err := os.Chmod(secrets, 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := ReadFile(main)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.DNS.Cookies.Secrets, [][16]byte{first, last}) || c.Files.Len() != 1 {
		t.Errorf("%x, %d files", c.DNS.Cookies.Secrets, c.Files.Len())
	}
	if len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0].String(), "1:30: dns.cookies.secret_file: everybody on this machine may read the secrets") {
		t.Errorf("%v", c.Warnings)
	}
	put(t, secrets, []byte(b))
	if err := os.Chmod(secrets, 0o640); err != nil {
		t.Fatal(err)
	}
	if c, _, err = Reread(c); err != nil || len(c.Warnings) != 0 || !slices.Equal(c.DNS.Cookies.Secrets, [][16]byte{last}) {
		t.Errorf("%+v, %v", c, err)
	}
	put(t, secrets, []byte("secret"))
	if _, _, err = Reread(c); err == nil || strings.Contains(strings.ReplaceAll(err.Error(), "a secret is", ""), "1 | ") {
		t.Errorf("%v", err)
	}
}
