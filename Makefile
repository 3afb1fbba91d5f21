.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The tests start hundreds of processes: without kept bytecode each of them would compile every source anew.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest
UV_VERSION := 0.13.9

.PHONY: help
help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The lock pins every package by hash; the stamp makes the install run once per lock. Bytecode is compiled here, once:
# else the first import of torch in every process of a read-only or shared install takes seconds more.
$(VENV)/.installed: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip -q
	@test -x $(BIN)/uv || $(BIN)/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip sync -q --compile-bytecode requirements.lock
	$(BIN)/uv pip install -q --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: install
install: $(VENV)/.installed  ## make .venv from the lock

.PHONY: demo
demo: install  ## digits, ERM against mixup, through the whole service; pictures in demo/
	$(BIN)/ncmix demo --out demo

.PHONY: check
check: install  ## format, lint, types, import contracts, Dockerfile, bandit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/bandit -q -r -c pyproject.toml ncmix api worker

.PHONY: test
test: install  ## every test but the long ones; starts the servers it needs from this machine's binaries
	$(PYTEST) -n auto --dist loadfile --no-loadscope-reorder

.PHONY: test-long
test-long: install  ## the long tests: what is killed, frozen, filled or lost loses nothing
	$(PYTEST) -n auto --dist loadfile --no-loadscope-reorder -m "long and not compose"

.PHONY: test-all
test-all: install  ## both in one run, the quickest way to know everything but the containers
	$(PYTEST) -n auto --dist loadfile --no-loadscope-reorder -m "not compose"

.PHONY: test-compose
test-compose: install  ## build the images, start the stack on the CPU, and break it; needs a Docker engine
	$(PYTEST) -q -m compose tests/compose

# Strict: what is not found in the index's data fails, instead of counting as sound.
.PHONY: audit
audit: install  ## known faults of the locked packages; asks pypi.org
	$(BIN)/uv tool run pip-audit==2.10.1 --strict --require-hashes --disable-pip -r requirements.lock

.PHONY: fuzz
fuzz: install  ## ten thousand broken pickles, pictures, YAML texts, checkpoints and bodies, and requests of all kinds: make fuzz CASES=10000
	$(BIN)/python -m tests.fuzz --cases $(or $(CASES),10000)
	$(BIN)/python -m tests.fuzz.contract --cases $(or $(CASES),10000)

.PHONY: fonts
fonts: install  ## cut the fonts of figures anew out of matplotlib's
	$(BIN)/python -m ncmix.plots.fonts.cut

.PHONY: openapi
openapi: install  ## renew docs/openapi.json, what the API says of itself
	@mkdir -p build
	$(BIN)/python -m api.snapshot > build/openapi.json && mv build/openapi.json docs/openapi.json

.PHONY: bench-train
bench-train: install  ## images/s of our step, our loop and a plain PyTorch loop
	$(BIN)/python -m benchmarks.training

.PHONY: bench-gpu
bench-gpu: install  ## all that only a GPU can tell, in eight minutes; DATA=folder for real pictures
	$(BIN)/python -m benchmarks.gpu $(if $(DATA),--data $(DATA))

.PHONY: bench-slots
bench-slots: install  ## how many small experiments at once on a GPU train the most
	$(BIN)/python -m benchmarks.slots

.PHONY: bench-packages
bench-packages: install  ## what bench-gpu needs beside torch, for a machine with Python 3.12 that reaches no index
	@mkdir -p build
	$(BIN)/uv pip freeze -q | grep -E '^(pydantic|pydantic-core|annotated-types|typing-inspection|typing-extensions)==' > build/bench-packages.txt
	$(BIN)/uv pip install -q --target build/bench-packages --python-version 3.12 --python-platform x86_64-manylinux_2_28 --no-deps --only-binary :all: -r build/bench-packages.txt

.PHONY: bench-metrics
bench-metrics: install  ## what measuring costs; PEER=DIR adds a checkout of rhubarbwu/neural-collapse
	$(BIN)/python -m benchmarks.metrics --imagenet $(if $(PEER),--peer $(PEER))

.PHONY: chaos
chaos: install  ## kill, freeze and restart everything at random: make chaos SEED=1 MINUTES=2
	NCMIX_TEST_SEED=$(or $(SEED),1) NCMIX_TEST_MINUTES=$(or $(MINUTES),2) NCMIX_TEST_JOBS=200 $(PYTEST) -q tests/faults/test_chaos.py

.PHONY: lock
lock: install  ## resolve the newest versions into the hash-locked files
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate --all-extras --group dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate --extra service -c requirements.lock pyproject.toml -o requirements-api.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate --extra service --extra train -c requirements.lock pyproject.toml -o requirements-worker.lock
	$(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-header --no-annotate --group build -c requirements.lock -o requirements-build.lock

.PHONY: bench-checkpoint
bench-checkpoint: install  ## what a checkpoint of ResNet-18 costs beside an epoch of its training
	$(BIN)/python -m benchmarks.checkpoint

.PHONY: bench-plots
bench-plots: install  ## milliseconds of a picture of 20 runs x 500 epochs, cold and from memory
	$(BIN)/python -m benchmarks.plots

.PHONY: bench-service
bench-service: install  ## the API under load, beside MLflow's tracking server; ARGS=--large for 100,000 experiments
	$(BIN)/python -m benchmarks.service $(ARGS)

.PHONY: bench-scaling
bench-scaling: install  ## 1 to 1,000 simulated workers against a real PostgreSQL and Redis
	$(BIN)/python -m benchmarks.scaling

.PHONY: bench-features
bench-features: install  ## features into the record and out of it, beside plain files; memory of streaming 400 MB
	$(BIN)/python -m benchmarks.features

.PHONY: bench-latency
bench-latency: install  ## seconds from a request to its first epoch, with and without a spare child
	$(BIN)/python -m benchmarks.latency
