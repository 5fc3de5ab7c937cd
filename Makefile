# The two commands of the README and what stands behind them. `make help` lists all.

BUILD := build/release
JOBS ?= $(shell nproc)
# Tests start threads and sync files of their own: two at a time, whatever the machine.
TEST_JOBS ?= 2
PIPELINE ?= pipelines/trade.yaml
INPUT ?= pipelines/samples/decisions.ndjson
FUZZ_SECONDS ?= 10
SIM_SECONDS ?= 180
MUTANTS ?= all
SLUICE_DATA ?= var/trade
export SLUICE_DATA

# Used when it is there.
CCACHE := $(shell command -v ccache 2>/dev/null)
LAUNCHER := $(if $(CCACHE),-DCMAKE_C_COMPILER_LAUNCHER=ccache -DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
# The address space layout of newer kernels is more random than ThreadSanitizer of g++ 12 can map.
FIXED_LAYOUT := $(shell setarch -R true 2>/dev/null && echo setarch -R)

SOURCES = $(shell git ls-files -- '*.h' '*.cc' '*.c')

.DEFAULT_GOAL := help
.PHONY: help install-deps configure run build test mutations property crash sim mutants asan tsan bench bench-compare bench-redis fuzz format format-check tidy clean clean-data

help:  ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/  make \1\t\2/p' Makefile | expand -t 24

install-deps:  ## install missing Debian packages
	@scripts/install-deps.sh

configure: install-deps
	@cmake --preset release $(LAUNCHER)

# `folder/all` is everything that folder builds: the program and its plugins, no tests.
run: configure  ## build and run the trade pipeline on the bundled sample (PIPELINE=, INPUT=)
	@cmake --build $(BUILD) -j $(JOBS) --target host/cli/all plugins/all
	SLUICE_DISARM_ON_BURST=false $(BUILD)/sluice run $(PIPELINE) --input $(INPUT)

build: configure  ## install what is missing and build everything
	@cmake --build $(BUILD) -j $(JOBS)

test: build  ## build and run all tests
	@ctest --preset release -j $(TEST_JOBS)

mutations: build  ## 2,000 random changes to the shipped pipeline: what check accepts must run
	@SLUICE_MUTATIONS=2000 $(BUILD)/tests/mutation_test

property: build  ## 10,000 random sequences of what can happen to the trade pipeline
	@SLUICE_CASES=10000 $(BUILD)/tests/trade_property_test

sim: configure  ## the whole host in a simulated world, new seeds for SIM_SECONDS (default 180)
	@cmake --build $(BUILD) -j $(JOBS) --target sluice_sim_program
	@$(BUILD)/tests/sluice-sim --list tests/sim/seeds --seconds $(SIM_SECONDS) \
	  $(if $(SLUICE_SEED),--seed $(SLUICE_SEED))

crash: build  ## kill the trade pipeline at every change of its store, fail every call (about half an hour)
	@SLUICE_CRASH_POINTS=all $(BUILD)/tests/crash_points_test
	@SLUICE_CRASH_POINTS=all $(BUILD)/tests/named_faults_test
	@SLUICE_CRASH_POINTS=all $(BUILD)/tests/scarcity_test
	@$(BUILD)/tests/plugin_faults_test
	@SLUICE_CRASH_POINTS=all $(BUILD)/tests/engine_test --gtest_filter='*PowerLoss*'

mutants: install-deps  ## does each of the wrong versions fail a test? (MUTANTS=short: the old defects)
	@cmake --preset mutants $(LAUNCHER)
	@cmake --build build/mutants -j $(JOBS) \
	  --target $$(tests/mutants/run.py --targets --set $(MUTANTS))
	@tests/mutants/run.py --set $(MUTANTS)

asan: install-deps  ## all tests under the address and undefined behaviour sanitizers
	@cmake --preset asan $(LAUNCHER)
	@cmake --build build/asan -j $(JOBS)
	@ctest --preset asan -j $(TEST_JOBS)

tsan: install-deps  ## all tests under the thread sanitizer
	@cmake --preset tsan $(LAUNCHER)
	@cmake --build build/tsan -j $(JOBS)
	@$(FIXED_LAYOUT) ctest --preset tsan -j $(TEST_JOBS)

# BENCH=quick takes two minutes instead of ten.
bench:  ## measure everything against the goals and the peers, and write bench/report.md (BENCH=quick)
	@scripts/install-deps.sh --bench
	@cmake --preset release $(LAUNCHER) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS) --target bench/all plugins/all sluice
	@bench/run.py --build $(BUILD) $(if $(BENCH),--$(BENCH)) $(ARGS)

bench-compare:  ## fail when the working tree is 10 % slower than REV= (ARGS=)
	@test -n "$(REV)" || { echo "usage: make bench-compare REV=main" >&2; exit 2; }
	@scripts/install-deps.sh --bench
	@bench/compare.py $(ARGS) $(REV)

bench-redis:  ## the Redis engine against a bare hiredis loop and a Python loop (ARGS=)
	@bench/run_redis.sh $(ARGS)

fuzz:  ## feed random bytes to the readers, FUZZ_SECONDS each (default 10)
	@scripts/install-deps.sh --fuzz
	@cmake --preset fuzz $(LAUNCHER)
	@cmake --build --preset fuzz -j $(JOBS)
	@tests/fuzz/run.sh build/fuzz $(FUZZ_SECONDS)

format:  ## format all C and C++ sources
	@scripts/install-deps.sh --tools
	@clang-format -i $(SOURCES)

format-check:  ## fail when a source is not formatted
	@scripts/install-deps.sh --tools
	@clang-format --dry-run --Werror $(SOURCES)
	@echo "format: $(words $(SOURCES)) files are fine"

tidy:  ## clang-tidy over host and plugins (slow)
	@scripts/install-deps.sh --tools
	@cmake --preset release $(LAUNCHER)
	@git ls-files -- 'host/*.cc' 'plugins/*.cc' | \
	  xargs -P $(JOBS) -n 4 clang-tidy --quiet -p $(BUILD)

clean:  ## remove everything built; the stores in var/ stay
	rm -rf build

clean-data:  ## remove the store of `make run`
	rm -rf $(SLUICE_DATA)
