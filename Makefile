# One command for each thing a contributor does. Needs Rust, a CPython (3.9 or later, with pip) and make; everything
# else is installed into .venv and .tools, or by cargo into target/.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
FUZZ_SECS ?= 20
FUZZ_JOBS ?= 2
SOAK_SECS ?= 60
SOAK_ARGS ?=
BENCH_ARGS ?=
TEST_ARGS ?=
# Tests mostly wait, for servers to start and for deadlines, so there may be more at a time than there are processors.
TEST_JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PORT ?= 5000

# What pyo3's build script and stubtest look at; without it they would take whatever python3 is on PATH.
export PYO3_PYTHON := $(abspath $(BIN)/python)
MAKEFLAGS += --no-print-directory

CARGO_FUZZ := $(shell command -v cargo-fuzz || echo .tools/bin/cargo-fuzz)
CARGO_LLVM_COV := $(shell command -v cargo-llvm-cov || echo .tools/bin/cargo-llvm-cov)
# cargo-fuzz needs the sanitizers, which a stable compiler has but does not offer.
FUZZ := RUSTC_BOOTSTRAP=1 $(CARGO_FUZZ)
CLIPPY := -D warnings -D clippy::undocumented_unsafe_blocks

.PHONY: help run test coverage coverage-rust test-all test-extensions autobahn suites matrix check bench bench-flask soak fuzz fuzz-build wheel clean
.DEFAULT_GOAL := help

help:
	@echo "make run       build and serve examples/json_api.py"
	@echo "make test      build, then cargo test and pytest"
	@echo "make coverage  line coverage of the Python package, which must be 95 %; coverage-rust: the crate's"
	@echo "make test-all  a wheel and the test suite for every CPython >= 3.9 found"
	@echo "make test-extensions  real Flask extensions on us and on Flask (redis-server, PostgreSQL)"
	@echo "make autobahn  the Autobahn WebSocket suite, groups 1-7 and 10 (needs python2.7)"
	@echo "make suites    the extensions' own test suites (needs SUITE_RUNNER)"
	@echo "make matrix    docs/extensions.md from the results of the two"
	@echo "make check     formatting, lints, types, stubs"
	@echo "make bench     end-to-end benchmark against a bare server (Linux, needs wrk)"
	@echo "make bench-flask  Flask's features beside Flask on gunicorn (Linux, needs wrk)"
	@echo "make soak      checked traffic for SOAK_SECS ($(SOAK_SECS)) seconds, then faults (Linux)"
	@echo "make fuzz      every fuzz target for FUZZ_SECS ($(FUZZ_SECS)) seconds"
	@echo "make wheel     a release wheel for $(PYTHON) in dist/, guided by a profile"
	@echo "make clean     remove what the above made"

# A virtual environment with the build tool; remade when the requirements change.
$(BIN)/maturin: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "maturin>=1.9,<2.0"
	@touch $@

run: $(BIN)/maturin
	$(BIN)/maturin develop --quiet --release
	@echo "The notes API answers on http://127.0.0.1:$(PORT)/notes (Ctrl-C stops it)"
	PYTHONUNBUFFERED=1 $(BIN)/python -m bustapi run examples/json_api.py:app --host 127.0.0.1 --port $(PORT)

.PHONY: develop
develop: $(BIN)/maturin
	$(BIN)/maturin develop --quiet --extras dev,test

# What loads a server, or measures one, runs alone. Arguments of one's own are for one run of everything.
test: develop
	cargo test --quiet
ifeq ($(strip $(TEST_ARGS)),)
	$(BIN)/python -m pytest -m "not load" -n $(TEST_JOBS) --dist loadfile
	$(BIN)/python -m pytest -m load
else
	$(BIN)/python -m pytest $(TEST_ARGS)
endif

# Line coverage of the package, with the processes that tests start; fails below `fail_under` (pyproject.toml).
# Tests that load a server, or draw thousands of examples for the Rust core, would take most of the time and count
# nothing here.
coverage: develop
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -m "not load and not draws" $(TEST_ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

# The Rust crate's, by its own tests and without libpython.
coverage-rust: $(CARGO_LLVM_COV)
	$(CARGO_LLVM_COV) llvm-cov --quiet --ignore-filename-regex '(/py/|^benches|^fuzz)' $(TEST_ARGS)

test-all:
	$(PYTHON) .ci/test_all.py $(TEST_ARGS)

EXTENSION_RESULTS := target/extensions.xml
SUITE_RUNNER ?= ../shared/tools/compat/run_suite.py
SUITE_RESULTS := target/suites.json

test-extensions: $(BIN)/maturin
	$(BIN)/maturin develop --quiet --extras dev,test,extensions
	$(BIN)/python -m pytest tests/python/extensions --junit-xml=$(EXTENSION_RESULTS) $(TEST_ARGS)

AUTOBAHN_ARGS ?=

autobahn: develop
	$(BIN)/python tests/autobahn $(AUTOBAHN_ARGS)

# Every suite with the real packages uninstalled, and with them imported first.
suites: $(BIN)/maturin
	$(BIN)/python .ci/suites.py --runner $(SUITE_RUNNER) --results $(SUITE_RESULTS)

matrix:
	$(PYTHON) .ci/matrix.py $(EXTENSION_RESULTS) $(SUITE_RESULTS) docs/extensions.md

check: develop
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/python/apps/typed_app.py
	$(BIN)/python -m mypy.stubtest bustapi._core
	cargo fmt --check
	cargo fmt --check --manifest-path benches/bare/Cargo.toml
	cargo clippy --quiet --all-targets -- $(CLIPPY)
	cargo clippy --quiet --features python -- $(CLIPPY)
	cargo clippy --quiet --manifest-path benches/bare/Cargo.toml --all-targets -- -D warnings

# The figures are of what `make wheel` builds, with uvloop for the async view. Arguments are for the first bench, alone.
bench: $(BIN)/maturin
	$(BIN)/python benches/guided/build.py --install
	$(BIN)/python -m pip install --quiet uvloop
	cargo build --quiet --release --manifest-path benches/bare/Cargo.toml --target-dir $(or $(CARGO_TARGET_DIR),target)
	$(BIN)/python benches/end_to_end/run.py $(BENCH_ARGS)
ifeq ($(strip $(BENCH_ARGS)),)
	$(BIN)/python benches/end_to_end/waiting.py
	$(BIN)/python benches/end_to_end/streams.py upload
	$(BIN)/python benches/end_to_end/streams.py events
	$(BIN)/python benches/end_to_end/sockets.py
	$(BIN)/python benches/end_to_end/sockets.py --idle 10000
endif

# Flask's features beside Flask on gunicorn, which is installed into an environment of the benchmark's own.
bench-flask: $(BIN)/maturin
	$(BIN)/maturin develop --quiet --release
	$(BIN)/python benches/flask_face/turns.py
	$(BIN)/python benches/flask_face/run.py $(BENCH_ARGS)

soak: $(BIN)/maturin
	$(BIN)/maturin develop --quiet --release
	$(BIN)/python tests/soak --secs $(SOAK_SECS) $(SOAK_ARGS)

.tools/bin/cargo-llvm-cov:
	cargo install --quiet --locked --root .tools cargo-llvm-cov
	rustup component add llvm-tools

.tools/bin/cargo-fuzz:
	cargo install --quiet --locked --root .tools cargo-fuzz

fuzz-build: $(CARGO_FUZZ)
	$(FUZZ) build

# New inputs go to the ignored corpus folder; the committed seeds are read and never written, and neither are the
# recorded requests, where BUSTAPI_H1_CORPUS names their folder. The JSON bridge needs an interpreter, so it is fuzzed
# from Python; its guided part runs where atheris is installed, and says so where not.
fuzz: fuzz-build develop
	@$(MAKE) -j $(FUZZ_JOBS) $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) \
	  $$($(FUZZ) list | sed 's/^/fuzz-of-/')
	$(BIN)/python fuzz/json_bridge.py $(FUZZ_SECS)

fuzz-of-%:
	@echo "fuzz $* ($(FUZZ_SECS) s)"
	@mkdir -p fuzz/corpus/$* fuzz/seeds/$*
	@$(FUZZ) run $* fuzz/corpus/$* fuzz/seeds/$* $(if $(filter h1_%,$*),$(BUSTAPI_H1_CORPUS)) -- \
	  -max_total_time=$(FUZZ_SECS) -timeout=10 -rss_limit_mb=2048 -verbosity=0 -print_final_stats=1

wheel: $(BIN)/maturin
	$(BIN)/python benches/guided/build.py --out dist

clean:
	rm -rf $(VENV) .venv-* .tools dist fuzz/target .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -f python/bustapi/_core*.so .coverage*
	cargo clean --quiet
	cargo clean --quiet --manifest-path benches/bare/Cargo.toml
