# make setup: a virtual environment in .venv; everything else uses it.
VENV := .venv
BIN := $(VENV)/bin
# Any Python from 3.10 on will do; tried are those the package is tested with, first.
PYTHON ?= $(shell for p in python3 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1 \
	&& echo $$p && exit; done; echo python3)
# The ROS tests need the Python that rclpy was built for.
ROS_PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-ros lint type fmt clean

help:  ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.done  ## Make .venv with the package and its tools

$(VENV)/.done: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or later is needed: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "$(PYTHON) has no venv module: apt install python3-venv, or make setup PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@

demo: setup  ## Track an object in a simulated scene; writes demo_out/report.html
	$(BIN)/storm demo --out demo_out

test: setup  ## Run the tests (those that need ROS, a GPU or data skip with a reason where it is missing)
	$(BIN)/python -m pytest -m "not ros"

test-ros:  ## Run the tests that need ROS, in a sourced ROS 2
	@$(ROS_PYTHON) -c 'import rclpy' 2>/dev/null || \
		{ echo "$(ROS_PYTHON) finds no rclpy: source /opt/ros/<distribution>/setup.bash first" >&2; exit 1; }
	$(ROS_PYTHON) -m pytest -m ros || test $$? -eq 5

lint: setup  ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: setup  ## Check types
	$(BIN)/pyright --pythonpath $(BIN)/python

fmt: setup  ## Format, and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove what was built
	rm -rf $(VENV) build install log dist demo_out *.egg-info .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
