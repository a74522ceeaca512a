# The two targets that a newcomer needs: make run, make test.

CAPTURE  ?= testdata/office.pcap# run: the savefile to show
XML      ?=#                      generate: IANA's service-names-port-numbers.xml
FUZZTIME ?= 1m#                   fuzz: time per target
BENCH    ?= .#                    bench: which benchmarks, a regular expression
COUNT    ?= 6#                    bench: how often, for benchstat
MIX      ?= testdata#             bench, profile, bench-peers: folder of real captures
BENCHDIR ?= bin/bench#            bench-peers: folder for captures and outputs, 8 GB
RUNS     ?= 5#                    bench-peers: pairs of runs per figure
PREFIX   ?= /usr/local#           install: where bin and share/man are
TESTFLAGS ?=#                     test, race: more options for go test, such as -v

.PHONY: run build test race lint check fuzz bench profile bench-peers test-siem soak bench-siem receivers cover generate golden install clean help libpcap

run: build ## show the flows of a shipped capture, with what the registry says about their ports
	bin/portwatch -o text -r $(CAPTURE)

build: libpcap ## build bin/portwatch
	go build -trimpath -o bin/portwatch ./cmd/portwatch

test: libpcap ## run all tests
	go test $(TESTFLAGS) ./... ./testdata/bench/...

race: libpcap ## run all tests under the race detector
	go test -race -short -timeout 20m $(TESTFLAGS) ./... ./testdata/bench/...

test-siem: build receivers ## send records to real receivers: rsyslog, Kafka, OpenSearch and others
	go test -tags siem -v -timeout 50m $(TESTFLAGS) ./testdata/siem

soak: build receivers ## run the long tests: kills during a million records, ten minutes of silence
	PORTWATCH_SOAK=1 go test -count=1 -v -timeout 0 -run 'TestKill|TestSilence' ./cmd/portwatch
	go test -tags siem -v -count 1 -timeout 2h -run '^(TestKilledInARun|TestSilence)$$' ./testdata/siem -soak

lint: libpcap ## run gofmt, go vet, staticcheck, shellcheck
	scripts/lint.sh

check: lint test race fuzz ## run what CI runs, without the programs that it installs

fuzz: libpcap ## fuzz each target for FUZZTIME
	scripts/fuzz.sh $(FUZZTIME)

bench: libpcap ## run the benchmarks, in benchstat's format
	PORTWATCH_MIX='$(abspath $(MIX))' go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) -timeout 0 ./...

# Without crypto: if Sum256 of sha256 is inlined because it is hot, its state goes to the heap.
profile: libpcap ## renew the profile that go build optimizes for
	PORTWATCH_MIX='$(abspath $(MIX))' go test -run '^$$' -bench 'Command/./output=(none|ecs)/workers=all' -count 2 -trimpath \
		-o bin/ -outputdir bin -cpuprofile cpu.pprof ./cmd/portwatch
	go tool pprof -proto -ignore crypto/ bin/cpu.pprof > cmd/portwatch/default.pgo

bench-peers: build ## compare with nfpcapd, softflowd, argus and others, as far as they are installed
	$(CC) -O2 -o bin/pcaploop scripts/pcaploop.c -lpcap
	go run ./testdata/bench -mix '$(MIX)' '$(BENCHDIR)'
	go run ./testdata/bench/peers -runs $(RUNS) '$(BENCHDIR)'

bench-siem: build receivers ## compare with what Kafka and OpenSearch take from other programs
	go test -tags siem -run '^$$' -bench . -benchtime 1x -timeout 1h ./testdata/siem

cover: libpcap ## print the test coverage by function
	go test -coverprofile cover.out ./... && go tool cover -func cover.out

generate: ## renew the embedded registry from XML
	go run registry/gen.go -xml "$(XML)"

golden: libpcap ## rewrite the golden files; then read git diff
	go test ./export ./cmd/portwatch -update

install: ## install what make build has built, and the manual page; this needs no Go
	@test -x bin/portwatch || { echo 'make install: nothing is built yet; run make build first' >&2; exit 1; }
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 bin/portwatch $(DESTDIR)$(PREFIX)/bin/
	install -m 644 cmd/portwatch/portwatch.1 $(DESTDIR)$(PREFIX)/share/man/man1/

clean: ## remove what make made
	rm -rf bin cover.out

receivers:
	testdata/siem/fetch.sh >/dev/null || true # the tests say what they had to skip

libpcap: ## install libpcap's headers if they are missing
	@scripts/libpcap.sh

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'variables (make run CAPTURE=x.pcap):'
	@awk -F ' *\\?= *|# *' '/^[A-Z]+ *\?=/ { printf "  %-10s %-22s %s\n", $$1, $$2, $$3 }' $(MAKEFILE_LIST)
