# Tuoka. `make` lists the targets.
.DEFAULT_GOAL := help
SHELL := /bin/bash
TOOL := go tool -modfile=.ci/tools.mod
FUZZTIME ?= 30s
SEEDS ?= 3
SIMULATED ?= 20000
MUTANTS ?= 400
BENCHTIME ?= 60s
FAULTEVERY ?= 20s
LARGE ?= 1000000
MUTATE_SEED ?= 1

.PHONY: help run build profile servers bench idle large cluster test race long plant check fmt lint security secrets reveal generate generated fuzz cover golden interop mutate

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

build: ## build bin/tuoka, by a profile of payments
	CGO_ENABLED=0 go build -pgo=cmd/tuoka/tuoka.pgo -trimpath -o bin/tuoka ./cmd/tuoka

profile: build servers ## make that profile anew
	@.ci/profile cmd/tuoka/tuoka.pgo

run: build ## start everything on this machine: Tuoka, its database and a simulator of every counterpart
	./bin/tuoka serve --sandbox

servers: ## install PostgreSQL, MariaDB and Redis from Debian packages, where they are missing and we may
	@.ci/servers install

# Half the time the tests wait: four at once on two cores.
test: servers ## run all tests (the daily proof, at most ten minutes), each on every database that is installed
	.ci/servers with go test -shuffle=on -parallel 4 -timeout 15m ./...

race: servers ## run all tests under the race detector
	.ci/servers with go test -race -shuffle=on -timeout 30m ./...

check: fmt generated lint security secrets reveal ## everything that reads the code without running it

fmt:
	@out=$$(gofmt -l $$(git ls-files '*.go' | grep -v '\.gen\.go$$')); if [ -n "$$out" ]; then echo "not gofmt'ed:"; echo "$$out"; exit 1; fi

lint: ## golangci-lint
	$(TOOL) golangci-lint run ./... ./.ci/mutate ./.ci/cluster
	@go vet -tags interop ./adapters/nhsa/mobile ./adapters/his ./adapters/his/soap
	@go vet -tags plant ./cmd/tuoka

# G115, G304, G401, G404, G501 and G505 are judged place by place: golangci-lint runs gosec too, and each exception says why.
security: ## gosec
	$(TOOL) gosec -quiet -exclude-generated -exclude=G115,G304,G401,G404,G501,G505 ./...

secrets: ## look for secrets and machine names in what git tracks
	@.ci/secrets

reveal: ## compare the callers of Reveal with the committed list
	@.ci/reveal

generate: ## write generated code anew
	go generate ./...

generated: generate ## fail when generated code is not what the sources say
	@git diff --exit-code -- '*.gen.go' || { echo "generated code is stale: commit what make generate wrote"; exit 1; }

golden: ## write the golden files anew; look at the difference before committing
	go test $$(grep -rlE --include='*_test.go' 'flag\.Bool\("update"' . | xargs -n1 dirname | sort -u) -update

fuzz: ## fuzz every parser of outside bytes, FUZZTIME each
	@.ci/fuzz $(FUZZTIME)

interop: ## the insurer's envelope, the ciphers and a HIS's WebService against JavaScript, OpenSSL and a second Go library
	@.ci/interop/run

cover: ## statement coverage of the money core; fails below 90 %
	@.ci/cover

mutate: ## the money core broken in MUTANTS small ways, sample MUTATE_SEED; fails when the unit tests notice fewer than 90 % (docs/mutation.md)
	@go test ./.ci/mutate
	@go run ./.ci/mutate -mutants $(MUTANTS) -seed $(MUTATE_SEED)

bench: build servers ## complete payments a second on each engine, BENCHTIME each, and what one costs (docs/performance.md)
	@.ci/bench $(BENCHTIME)

idle: build servers ## what a process costs that has nothing to do, on each engine
	@.ci/idle 60

cluster: build ## servers killed, restarted and promoted while patients pay, on PostgreSQL and Galera; rolling restart, upgrade, weak isolation (15 minutes)
	@.ci/cluster/run $(FAULTEVERY)

large: build servers ## PostgreSQL filled with LARGE orders: no statement reads a whole table, and payments a second beside those of an empty one
	@.ci/large $(LARGE) $(BENCHTIME)

plant: ## bugs put in on purpose, which the simulation must find within 500 seeds each
	go test -tags plant -run TestPlants -v ./cmd/tuoka

long: ## the whole proof: race detector, kills at every point on each engine, crowds, coverage, fuzzing, planted bugs, pay under faults with SEEDS seeds, killed and not, SIMULATED seeds played
	.ci/long $(FUZZTIME) $(SEEDS) $(SIMULATED)
