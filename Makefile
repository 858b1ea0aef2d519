# make setup | demo | test | check | bench | docs
PYTHON ?= python3
UV = .venv/bin/uv pip install --quiet --python .venv/bin/python

.PHONY: setup demo test check bench docs clean

.venv/bin/uv:
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check uv

# Only what the laptop needs: seconds, not minutes.
.venv/.demo: .venv/bin/uv pyproject.toml constraints.txt setup.py
	$(UV) --constraint constraints.txt --editable '.[demo]'
	@touch $@

# Everything that the tests and the checks need.
.venv/.setup: .venv/bin/uv pyproject.toml constraints.txt setup.py
	$(UV) --constraint constraints.txt --editable '.[check]'
	@touch $@ .venv/.demo

setup: .venv/.setup

demo: .venv/.demo
	cd examples/openbandit && ../../.venv/bin/isthmus demo

test: .venv/.setup
	.venv/bin/pytest --numprocesses 2 --dist loadscope

check: .venv/.setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/pyright

bench: .venv/.setup
	.venv/bin/python -m benchmarks

docs: .venv/.setup
	.venv/bin/python docs/generate.py

clean:
	rm -rf .venv build *.egg-info
