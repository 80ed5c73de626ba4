# Tocsin: `make run` and `make test` set up everything that they need below .venv and touch nothing else. Another Python
# (`make test PYTHON=python3.13`) has an environment of its own, .venv-3.13.
PYTHON ?= python3
VENV := $(if $(filter-out python3,$(PYTHON)),.venv-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'),.venv)
BIN := $(VENV)/bin
STATE ?= state
PREFIX ?= /usr/local
WORKERS ?= 3
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test test-long check install uninstall deb boot bench chaos soak fuzz
.PHONY: bench-parsing bench-sequence bench-detectors bench-spool bench-sigma bench-correlations bench-scenarios lock clean help
.DEFAULT_GOAL := help

help:  ## show this
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

$(VENV)/.run: requirements.lock pyproject.toml
	@echo "Setting up $(VENV) (once) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Tocsin needs Python 3.11 or newer"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "Setting up what the tests need (once) ..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@touch $@

run: $(VENV)/.run  ## set up, and run the daemon in the foreground (Ctrl-C ends it)
	@exec $(BIN)/tocsin run --state-dir $(STATE) $(if $(CONFIG),--config $(CONFIG))

install: $(VENV)/.run  ## lay out command, libraries, units and pages (PREFIX=/usr/local DESTDIR=)
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" INTERPRETER="$(INTERPRETER)" VENV="$(VENV)" sh systemd/install.sh install

uninstall:  ## take away what install laid (never state nor configuration)
	@DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" sh systemd/install.sh uninstall

deb: $(VENV)/.run  ## build a Debian package below build/
	@VENV="$(VENV)" sh systemd/deb.sh

test: $(VENV)/.dev  ## set up, and run all tests (ARGS="tests/daemon -x" WORKERS=2)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

test-long: $(VENV)/.dev  ## the same with more seeds, more examples and longer chaos
	@TESTS=long $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

check: $(VENV)/.dev  ## lint and type-check
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: $(VENV)/.dev  ## measure the whole daemon (ARGS="--rate 5000 --json")
	@$(BIN)/python -m tests.benchmarks.daemon $(ARGS)

bench-parsing: $(VENV)/.dev  ## grouping accuracy and cost of the parser (ARGS="--data DIR")
	@$(BIN)/python -m tests.benchmarks.parsing $(ARGS)

bench-sequence: $(VENV)/.dev  ## the order detector on labelled sequences
	@$(BIN)/python -m tests.benchmarks.sequence $(ARGS)

bench-detectors: $(VENV)/.dev  ## cost of each detector
	@$(BIN)/python -m tests.benchmarks.detectors $(ARGS)

bench-spool: $(VENV)/.dev  ## cost of both kinds of fsync, in the spool and in the store (ARGS="--folder DIR")
	@$(BIN)/python -m tests.benchmarks.spool $(ARGS)

bench-scenarios: $(VENV)/.dev  ## who is named, what became of it and who is alerted, on labelled logs (ARGS="--data DIR")
	@$(BIN)/python -m tests.benchmarks.scenarios $(ARGS)

bench-sigma: $(VENV)/.dev  ## the Sigma engine on public rules and recorded events (ARGS="--data DIR --pairs 100000")
	@$(BIN)/python -m tests.benchmarks.sigma $(ARGS)

bench-correlations: $(VENV)/.dev  ## Sigma correlations on exact counts of a real log, and their cost (ARGS="--data DIR")
	@$(BIN)/python -m tests.benchmarks.correlations $(ARGS)

chaos: $(VENV)/.dev  ## kill an actor a second under load, and account for every record (ARGS="--seconds 120")
	@$(BIN)/python -m tests.system.chaos $(ARGS)

soak: $(VENV)/.dev  ## run for long, and hold the memory of each process against what it was (ARGS="--minutes 20 --rate 2000")
	@$(BIN)/python -m tests.system.soak $(ARGS)

fuzz: $(VENV)/.dev  ## hostile inputs for every receiver and the parser (ARGS="--inputs 1000000 --seed 1")
	@$(BIN)/python -m tests.system.fuzz $(ARGS)

boot: $(VENV)/.dev deb  ## boot a real systemd with Tocsin in it, and put the units to the test (root only; ARGS="--keep")
	@$(BIN)/python -m tests.system.boot $(ARGS)

lock: $(VENV)/.dev  ## resolve the dependencies anew
	@$(PIP) install uv
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 pyproject.toml --extra build -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 pyproject.toml --extra build --extra dev -o requirements-dev.lock

clean:  ## remove what make made (never the state)
	rm -rf .venv .venv-* build *.egg-info .mypy_cache .ruff_cache .hypothesis
