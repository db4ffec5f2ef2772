# make help lists what there is.
.DEFAULT_GOAL := help
export CGO_ENABLED := 0

.PHONY: help
help: ## list what there is
	@grep -hE '^[a-z/-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## build bin/grapnel
	go build -trimpath -o bin/grapnel ./cmd/grapnel

.PHONY: dist
dist: ## build dist/: binaries for all platforms, their SBOMs and checksums
	./scripts/build

.PHONY: dev
dev: ## run the trial server with its own receiver and sample events
	go run ./cmd/grapnel dev

.PHONY: test
test: ## everything that CI runs, with its own set-up
	./scripts/test

.PHONY: quick
quick: ## the tests alone, without set-up, race detector and fuzzing
	go test ./...

.PHONY: check
check: ## format, vet and staticcheck, for every system that there are binaries for
	SYSTEMS="darwin windows" ./scripts/check

.PHONY: vulnerable
vulnerable: ## look for known vulnerabilities in what is used; asks vuln.go.dev
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

.PHONY: fuzz
fuzz: ## every fuzz target; FUZZTIME=5000x inputs each, or a span such as 120s
	./scripts/fuzz

.PHONY: bench
bench: build ## the benchmark: server, load and receiver as processes of their own; ARGS="--scenario throughput"
	bin/grapnel bench $(ARGS)

# How long a window is, how much growth stores and backlog seeds, and where the
# pictures go. With these it takes 20 to 25 minutes on two cores.
BENCH_TIME ?= 4s
BENCH_EVENTS ?= 5000000
BENCH_PENDING ?= 10000000
BENCH_PICTURES ?= bin/bench

.PHONY: bench-all
bench-all: build ## every scenario: 25 minutes; BENCH_TIME=4s BENCH_EVENTS=5000000 BENCH_PENDING=10000000
	mkdir -p $(BENCH_PICTURES)
	bin/grapnel bench --scenario throughput,batch,latency,hang,dead-30,flood,fan-out,in-flight,recovery,tls,million-endpoints --duration $(BENCH_TIME) --svg $(BENCH_PICTURES)
	bin/grapnel bench --scenario backlog --pending $(BENCH_PENDING) --duration 10s --runs 2
	bin/grapnel bench --scenario growth,disk --events $(BENCH_EVENTS) --duration $(BENCH_TIME) --runs 2

.PHONY: sim
sim: ## days of traffic in virtual time, and what came of them; SEED=7
	go test ./sim -count=1 -v -seed $(or $(SEED),1) -due $(or $(DUE),100000)

.PHONY: figures
figures: ## the crash figures at full length: 200 kills, 100 restarts; on PostgreSQL 100 faults, 30 take-overs, 60 rolling restarts, 10 failovers
	./scripts/figures

.PHONY: chart
chart: ## check the Helm chart with Helm, and write deploy/kubernetes from it
	./scripts/chart

.PHONY: generate
generate: ## write the pages that are made from the code
	go test ./internal/config -run TestReferenceIsFresh -update
	go test ./internal/dialect -run TestFormatPageIsFresh -update
	go test ./cmd/grapnel -run TestCLIPage -update
	go test ./internal/telemetry -run TestMetricsPage -update
	go test ./internal/api -run 'TestDocumentIsFresh|TestErrorsPageIsFresh' -update
