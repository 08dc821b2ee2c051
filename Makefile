# Everything is installed into .venv; nothing outside this folder is touched.
#
#   make run     synthesize the bundled sample exam into out/ (sets itself up first)
#   make view    open the bundled sample exam in the browser; another with: make view EXAM=pre.nrrd
#   make setup   build .venv
#   make test    all tests
#   make test-slicer SLICER=/path/to/Slicer   the module's self tests, in a desktop Slicer
#   make bench-slicer SLICER=/path/to/Slicer   how long its event loop pauses during syntheses
#   make lint    ruff and mypy
#   make clean   remove .venv, out and the caches

PYTHON ?= python3
SAMPLE ?= $(firstword $(wildcard Resources/sample/*/pre.nrrd))
OUT ?= out
EXAM ?=

VENV := .venv
BIN := $(VENV)/bin
BASE := $(VENV)/.installed
WEB := $(VENV)/.installed-web
TEST := $(VENV)/.installed-test

# PyPI's Linux build of torch brings 3 GB of CUDA libraries. Without an NVIDIA driver the CPU build (190 MB) is taken
# instead, if its server answers; where it does not, pip finds torch as it is configured to. Python compiles the few
# modules that are used when they are first imported, which takes less time than compiling all of them here.
TORCH_CPU := https://download.pytorch.org/whl/cpu
PROBE := import urllib.request; urllib.request.urlopen("$(TORCH_CPU)/torch/", timeout=5)
INSTALL = cpu= ; \
	if ! command -v nvidia-smi >/dev/null && $(BIN)/python -c '$(PROBE)' 2>/dev/null; \
	then cpu="--extra-index-url $(TORCH_CPU)"; fi; \
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off --no-compile --constraint constraints.txt $$cpu

.PHONY: run view setup test test-slicer bench-slicer slicer lint clean

run: setup
	@test -n "$(SAMPLE)" || { echo "No sample exam under Resources/sample; name a volume with: make run SAMPLE=pre.nrrd"; exit 1; }
	$(BIN)/cekworld synthesize "$(SAMPLE)" --output "$(OUT)" --overwrite

view: $(WEB)
	$(BIN)/cekworld view $(if $(EXAM),"$(EXAM)")

setup: $(BASE)

# The two processes share the machine's cores, so each test process keeps to one thread.
test: $(TEST)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# CEKWorldTest of the module file, as ctest runs it for a built extension; once more without a main window. Slicer
# leaves an empty DICOM database where it was started when it had none before.
test-slicer: slicer
	cd "$$(mktemp -d)" && for window in "" --no-main-window; do \
		"$(abspath $(SLICER))" $$window --no-splash --testing --additional-module-paths "$(CURDIR)/CEKWorld" --python-code \
		"import slicer.testing; slicer.testing.runUnitTest(['$(CURDIR)/CEKWorld', '$(CURDIR)'], 'CEKWorld')" || exit 1; \
	done

bench-slicer: slicer
	"$(abspath $(SLICER))" --no-splash --testing --additional-module-paths "$(CURDIR)/CEKWorld" \
		--python-script "$(CURDIR)/Testing/slicer_bench.py" $(BENCH)

slicer:
	@test -n "$(SLICER)" || { echo "Name a Slicer, 5.10 or later: make test-slicer SLICER=/path/to/Slicer"; exit 1; }

lint: $(TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "CEKWorld needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(BASE): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing into $(VENV); on a fresh machine this takes one to three minutes."
	@$(INSTALL) --quiet --editable .
	@touch $@

$(WEB): $(BASE)
	@echo "Installing the browser viewer."
	@$(INSTALL) --quiet --editable '.[web]'
	@touch $@

$(TEST): $(BASE)
	@echo "Installing the test tools."
	@$(INSTALL) --quiet --editable '.[test]'
	@touch $@
