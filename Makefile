# Meridian. `make help` lists the targets.
GO      ?= go
BIN     ?= bin/meridian
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X main.version=$(VERSION)
FUZZTIME ?= 1m
PREFIX  ?= /usr/local

# What the tests need beside Go, command:Debian package: a C compiler with headers for the race detector, and the peers they talk to.
PEERS = gcc:build-essential unbound:unbound dig:bind9-dnsutils kdig:knot-dnsutils nghttp:nghttp2-client curl:curl haproxy:haproxy \
	knotd:knot nsd:nsd named:bind9 kresd:knot-resolver ip:iproute2 redis-server:redis-server named-compilezone:bind9-utils

# Servers that Debian lacks are built from Go modules, outside the tree: Consul takes five minutes the first time.
CACHE  ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/meridian
CONSUL  = $(CACHE)/consul-1.13.9

# What runs the conformance tests of HTTP/2; its master has no version that the module proxy knows.
H2SPEC = github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: help build test unit lint fmt bench fuzz flood deps consul install clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/meridian: static, without cgo
	CGO_ENABLED=0 $(GO) build -trimpath -tags timetzdata -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/meridian

test: deps ## every test, unit and end to end, with the race detector; what requests cost, without
	$(GO) test -race ./...
	$(GO) test -run 'NotAllocate|AreSmall' ./l7edge/...

unit: ## what needs nothing but Go
	$(GO) test $$($(GO) list ./... | grep -v /test/)

lint: ## gofmt, go vet, staticcheck, the portable build
	@f=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$f" ]; then echo "gofmt would change:"; echo "$$f"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	GOOS=darwin GOARCH=arm64 $(GO) build -o /dev/null ./cmd/meridian
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run test/bench/*.sh; fi

fmt: ## gofmt in place
	gofmt -w $$(git ls-files '*.go')

bench: ## Go benchmarks, then ours beside the peers that are installed
	$(GO) test -run '^$$' -bench . -benchmem ./policy ./dnsserver/... ./l7edge/... ./probes ./registry
	bash test/bench/peers.sh

fuzz: ## every fuzzer for FUZZTIME (1m)
	@set -e; for f in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
	  d=$$(dirname $$f); for n in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' $$f); do \
	    echo "== $$d $$n"; $(GO) test -run '^$$' -fuzz "^$$n\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$d; done; done

flood: ## attacks over loopback, a minute each; as root, on a machine that does nothing else
	FLOOD_SECONDS=60 $(GO) test -count 1 -timeout 30m -v ./test/flood

bin/h2spec:
	GOBIN=$(CURDIR)/bin $(GO) install $(H2SPEC)

deps: consul bin/h2spec ## what the tests need of the system: installed if root on Debian, else named
	@need=; for p in $(PEERS); do command -v $${p%%:*} >/dev/null 2>&1 || [ -x /usr/sbin/$${p%%:*} ] || need="$$need $${p##*:}"; done; \
	[ -z "$$need" ] && exit 0; need=$$(echo $$need | tr ' ' '\n' | sort -u | tr '\n' ' '); \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing: $$need"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$need >/dev/null; \
	else echo "the tests need the Debian packages: $$need"; echo "install them, or run 'make unit' for what needs nothing but Go"; exit 1; fi

consul: $(CONSUL) ## the Consul that the tests talk to

$(CONSUL):
	@command -v consul >/dev/null 2>&1 || { echo "building Consul 1.13.9; this takes some minutes"; mkdir -p $(CACHE); \
	  cd tools/consul && CGO_ENABLED=0 $(GO) build -o $(CONSUL).new github.com/hashicorp/consul && mv $(CONSUL).new $(CONSUL); }

install: build ## install the binary and the systemd unit (PREFIX=/usr/local, DESTDIR=)
	install -D -m 0755 $(BIN) $(DESTDIR)$(PREFIX)/bin/meridian
	install -d $(DESTDIR)/etc/systemd/system
	sed 's|/usr/local/bin/meridian|$(PREFIX)/bin/meridian|' contrib/systemd/meridian.service > $(DESTDIR)/etc/systemd/system/meridian.service

clean: ## remove what the build made
	rm -rf bin dist
