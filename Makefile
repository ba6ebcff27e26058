# make setup: a virtual environment in .venv; everything else uses it.
VENV := .venv
BIN := $(VENV)/bin
# Any Python from 3.10 on will do; tried are those the package is tested with, first.
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1 \
	&& echo $$p && exit; done; echo python3)
# The learned parts run on PyTorch. TORCH= leaves it out: the tracker then uses its parts that need none. On a GPU or a
# Jetson give the build that fits, as a pip requirement.
TORCH ?= torch==2.13.0
# The ROS tests need the Python that rclpy was built for, and what it needs of the system beside the package's own.
ROS_PYTHON ?= python3
ROS_VENV := .venv-ros
ROS_WS := build/ros

comma := ,

.DEFAULT_GOAL := help
.PHONY: help setup setup-ros demo test build-ros test-ros lint type fmt clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.done  ## Make .venv with the package and its tools

$(VENV)/.done: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or later is needed: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv module: apt install python3-venv, or make setup PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH),$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)")
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev$(if $(TORCH),$(comma)learned)]"
	@touch $@

demo: setup  ## Track an object in a simulated scene; writes demo_out/report.html
	$(BIN)/storm demo --out demo_out

test: setup  ## Run the tests (those that need ROS, a GPU or data skip with a reason where it is missing)
	$(BIN)/python -m pytest -m "not ros"

setup-ros: $(ROS_VENV)/.done  ## Make .venv-ros, which sees the system's ROS 2; needs a sourced one

$(ROS_VENV)/.done: pyproject.toml constraints-ros.txt
	@$(ROS_PYTHON) -c 'import rclpy' 2>/dev/null || \
		{ echo "$(ROS_PYTHON) finds no rclpy: source /opt/ros/<distribution>/setup.bash first" >&2; exit 1; }
	$(ROS_PYTHON) -m venv --system-site-packages $(ROS_VENV)
	@# a system with numpy 1 has messages and cv_bridge that were built against it
	constraint=$$($(ROS_PYTHON) -c 'import numpy; print("-c constraints-ros.txt" * (numpy.__version__ < "2"))' 2>/dev/null); \
	$(ROS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $$constraint -e . "pytest>=7.4,<9"
	@command -v colcon >/dev/null || $(ROS_VENV)/bin/python -m pip install --quiet colcon-common-extensions
	@touch $@

build-ros: $(ROS_VENV)/.done  ## Build the ROS package into build/ros/install; needs a sourced ROS 2
	PATH="$(CURDIR)/$(ROS_VENV)/bin:$$PATH" colcon --log-base $(ROS_WS)/log build --base-paths . \
		--packages-select storm_ros --build-base $(ROS_WS)/build --install-base $(ROS_WS)/install

test-ros: build-ros  ## Build the ROS package and run the tests that need ROS; needs a sourced ROS 2
	bash -c 'set -e; source $(ROS_WS)/install/local_setup.bash; PATH="$(CURDIR)/$(ROS_VENV)/bin:$$PATH"; \
		exec python -m pytest -m ros'

lint: setup  ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: setup  ## Check types
	$(BIN)/pyright --pythonpath $(BIN)/python

fmt: setup  ## Format, and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove what was built
	rm -rf $(VENV) $(ROS_VENV) build install log dist demo_out *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
