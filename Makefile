# Two commands for a newcomer: `make demo` and `make test`. Both need only Python 3.10 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check bench fuzz format samples fit docs clean

demo: $(VENV)/.core
	@$(BIN)/mcuprof check samples/ds_cnn_int8.tflite --device nucleo-l4r5zi

test: $(VENV)/.oracles
	$(BIN)/python -m pytest -n auto

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks

# A few thousand mutated samples per format, then as many guided by coverage where the extra `fuzz` is installed; `.venv/bin/python -m fuzz --help` for more.
fuzz: $(VENV)/.oracles
	$(BIN)/python -m fuzz
	$(BIN)/python -m fuzz --coverage

format: $(VENV)/.dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Relearns device_db/kernels, flash and stack from the tables in ../shared and says how far off they are.
fit: $(VENV)/.core
	$(BIN)/python tools/fit.py

# The documentation as a site, in site/.
docs: $(VENV)/.docs
	$(BIN)/mkdocs build --strict

samples: $(VENV)/.samples
	$(BIN)/python -m samples.build

# Each stamp is one set of extras; pip is asked again only when pyproject.toml changed.
$(VENV)/.core: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# The other runtimes judge our numbers where they install; tests that need one skip with the reason where it does not.
$(VENV)/.oracles: $(VENV)/.dev
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,oracles]'
	@touch $@

$(VENV)/.samples: $(VENV)/.oracles
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,samples]'
	@touch $@

# Peers that benchmarks compare with, and what draws the plots.
$(VENV)/.bench: $(VENV)/.oracles
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,bench]'
	@touch $@

$(VENV)/.docs: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
