# Every target shares one virtual environment, made on first use from the pinned constraints.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two more than there are cores: tests with real programs wait more than they work.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print((os.cpu_count() or 1) + 2)')

# How long faults go on, for each seed of `make soak`.
SOAK_MINUTES ?= 30
SOAK_SEEDS ?= 1 2 3
# Lives of a simulated cloud before that.
SOAK_STORMS ?= 10000

# How long `make fuzz` computes, over all targets.
MINUTES ?= 60

.PHONY: install demo test check format bench soak fuzz docs constraints clean

install: $(STAMP)

# --no-deps with a complete pinned list: opencv, which stegano asks for and Glimpse never imports, stays out.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: install
	$(BIN)/glimpse demo

# Hundreds of programs are started by tests: where the environment forbids bytecode, each would compile all of Glimpse.
# It is kept out of the source tree.
test: install
	PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/$(VENV)/bytecode \
		$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy --platform darwin --cache-dir .mypy_cache/darwin
	$(BIN)/lint-imports
	$(BIN)/vulture

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install
	$(BIN)/python -m tests.bench

# What the documents have from the code: tables of the protocol, and the test vectors.
docs: install
	$(BIN)/python -m tests.documents

# Real nodes under attack, and real nodes and peers under every fault there is; docs/testing.md tells how to read it.
soak: install
	$(BIN)/python -m tests.sim --seeds $(SOAK_STORMS)
	$(BIN)/python -m tests.sim --world paths --seeds $(SOAK_STORMS)
	$(BIN)/python -m tests.hostile
	$(BIN)/python -m tests.chaos --minutes $(SOAK_MINUTES) $(addprefix --seed ,$(SOAK_SEEDS))

# Parsers of what strangers and files say, with inputs that are guided by the code they reach.
fuzz: $(VENV)/.fuzzer
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

$(VENV)/.fuzzer: $(STAMP) constraints-fuzz.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r constraints-fuzz.txt
	@touch $@

# Resolve the pins anew. What scikit-image asks for is left out as well: only the pictures in its wheel are used.
UNUSED := opencv-python scipy imageio networkx tifffile lazy-loader
constraints: install
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --extra dev --extra photos --generate-hashes --allow-unsafe --strip-extras --no-header \
		--no-annotate --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
		$(addprefix --unsafe-package ,$(UNUSED)) --output-file constraints.all pyproject.toml
	sed '/^# The following packages are considered/,$$d' constraints.all > constraints.txt && rm constraints.all

clean:
	rm -rf $(VENV) build dist *.egg-info
