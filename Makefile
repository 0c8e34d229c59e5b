# The environment is .venv in this folder; `make run` is the main job, `make check` what CI runs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
# Packages of the system that the tests drive for real
TEST_PACKAGES := chromium openssh-server openssh-client busybox tcsh iptables iproute2 dataset-fashion-mnist
TEST_TOOLS := sshd ssh busybox tcsh iptables ip
FASHION_MNIST := /usr/share/datasets/fashion-mnist
TRAINED := mobilenet_v1_0.25,mobilenet_v2_0.35,mobilenet_v3_small_0.75,shufflenet_v2_0.5

.DEFAULT_GOAL := help
.PHONY: help run fashion-mnist measure-only test test-zoo test-real-models test-arm64 test-arm64-system test-faults check lint types format perf docs lock clean system-packages

help:  ## Show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-17s %s\n", $$1, $$2}'

# Networks with trained weights inside, so that accuracies are measured here, too.
run: $(VENV)/.export fashion-mnist  ## Make the environment, then measure networks trained on Fashion-MNIST
	$(BIN)/bench run --device local --models $(TRAINED) --weights fashion-mnist --precision fp32,int8

measure-only: $(VENV)/.measure  ## An environment that measures but cannot export (no PyTorch)

# More workers than cores: much of the time is waiting for devices to go away and come back. What fails is run again, alone.
test: $(VENV)/.test system-packages  ## Install what the tests need and run them
	$(BIN)/python -m pytest -p tests.again -n 4 --dist loadfile --no-loadscope-reorder

test-zoo: $(VENV)/.test  ## Export every default variant and run it under every runtime (minutes)
	$(BIN)/python -m pytest -m zoo

test-real-models: $(VENV)/.test  ## 83 real files of 22 packages, under every runtime and beside the bare one (needs npm)
	$(BIN)/python -m pytest -m real_models

test-arm64: $(VENV)/.test system-packages  ## Only the tests on emulated 64-bit Arm devices (root; installs qemu)
	$(BIN)/python -m pytest -m arm64

test-arm64-system: $(VENV)/.test  ## The tests on an Arm machine with a kernel of its own (root; installs qemu)
	$(BIN)/python -m pytest -m arm64_system

test-faults: $(VENV)/.test system-packages  ## 100 random faults locally, over SSH and over adb each (EDGEBENCH_SEED)
	EDGEBENCH_FAULTS=$${EDGEBENCH_FAULTS:-100} $(BIN)/python -m pytest tests/harness -k random_faults -rP

check: lint types test  ## What CI runs

lint: $(VENV)/.test  ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.test  ## mypy --strict
	$(BIN)/mypy

format: $(VENV)/.test  ## Rewrite the sources in the house's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

perf: $(VENV)/.test  ## The benchmarks behind docs/performance.md (quiet machine, some hours)
	$(BIN)/python -m pytest tests/perf -m perf --benchmark-only

docs: $(VENV)/.export  ## Make the generated documents again
	$(BIN)/python -m models.zoo.document

lock: $(VENV)/.test  ## Pin what is installed now: locks/*.txt
	$(BIN)/python locks/freeze.py

clean:  ## Remove the environment and caches; results in .bench stay
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks

# On Debian `python3 -m venv` needs a package of its own.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends python3-venv; }
	$(PYTHON) -m venv $(VENV)

# Each environment holds the ones before it.
$(VENV)/.measure: $(BIN)/python locks/measure.txt pyproject.toml
	$(PIP) install -qq -r locks/measure.txt
	$(PIP) install -qq --no-deps --editable .
	@touch $@

$(VENV)/.export: $(BIN)/python locks/export.txt pyproject.toml
	@echo "Installing the environment (about 2.5 GB, a minute or two) ..."
	$(PIP) install -qq -r locks/export.txt
	$(PIP) install -qq --no-deps --editable .
	@touch $@ $(VENV)/.measure

$(VENV)/.test: $(BIN)/python locks/test.txt pyproject.toml
	@echo "Installing the environment (about 2.5 GB, a minute or two) ..."
	$(PIP) install -qq -r locks/test.txt
	$(PIP) install -qq --no-deps --editable .
	@touch $@ $(VENV)/.export $(VENV)/.measure

fashion-mnist:
	@[ -d $(FASHION_MNIST) ] || { $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends dataset-fashion-mnist; }

# The tests need the program sshd and not the service: where it is new, systemd is told not to start it.
system-packages:
	@PATH="$$PATH:/usr/sbin:/sbin"; missing=; \
	for tool in $(TEST_TOOLS); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
		missing="$$missing chromium"; \
	[ -d $(FASHION_MNIST) ] || missing="$$missing dataset-fashion-mnist"; \
	case "$$missing" in *sshd*) ! command -v systemctl >/dev/null || $(SUDO) systemctl mask -q ssh.service ssh.socket || true;; esac; \
	[ -z "$$missing" ] || \
		{ $(SUDO) apt-get update -qq && $(SUDO) apt-get install -y -qq --no-install-recommends $(TEST_PACKAGES); }
