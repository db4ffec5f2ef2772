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

.PHONY: fuzz
fuzz: ## every fuzz target; FUZZTIME=5000x inputs each
	./scripts/fuzz

.PHONY: bench
bench: build ## the benchmark: server, load and receiver as processes of their own; ARGS="--scenario throughput"
	bin/grapnel bench $(ARGS)

.PHONY: figures
figures: ## the crash figures at full length: 200 kills, 100 restarts
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
