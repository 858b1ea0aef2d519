# make setup | demo | test | test-room ROOM=events | test-often | test-starved TESTS=tests/ui TIMES=10 | check | bench | bench-load | bench-faults VERBS="ingest --every 9" | docs
PYTHON ?= python3
UV = .venv/bin/uv pip install --quiet --python .venv/bin/python

.PHONY: setup demo test test-room test-often test-starved check bench bench-load bench-faults docs clean

.venv/bin/uv:
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check uv

# Only what the laptop needs: seconds, not minutes.
.venv/.demo: .venv/bin/uv pyproject.toml constraints.txt setup.py
	$(UV) --constraint constraints.txt --editable '.[demo]'
	@touch $@

# Everything that the tests and the checks need. GoogleSQL is compiled into the user's cache once (30 s of CPU, 1 GB).
.venv/.setup: .venv/bin/uv pyproject.toml constraints.txt setup.py
	$(UV) --constraint constraints.txt --editable '.[check]'
	$(UV) --no-deps 'axe-playwright-python==0.1.8' # for the axe-core 4.12 in it, which judges our pages in Chromium; no Playwright
	.venv/bin/python -m isthmus.localstack.gcp.googlesql
	@touch $@ .venv/.demo

setup: .venv/.setup

demo: .venv/.demo
	cd examples/openbandit && ../../.venv/bin/isthmus demo

test: .venv/.setup
	.venv/bin/pytest --numprocesses 4 --dist loadscope --no-loadscope-reorder

# What one room's change is tried with: nothing that starts processes. ROOM is a folder below tests/.
test-room: .venv/.setup
	.venv/bin/pytest -q -m "not slow" tests/$(ROOM)

# An hour or more: many rounds in random order. Stopped and started again, it goes on.
test-often: .venv/.setup
	.venv/bin/python tests/often.py

# Tests whose processes get no time at random: what one run of the suite in a hundred shows, within minutes. Linux, as root.
TIMES ?= 10
test-starved: .venv/.setup
	.venv/bin/python tests/starved.py $(TIMES) $(TESTS)

check: .venv/.setup
	PATH="$(CURDIR)/.venv/bin:$$PATH" .ci/checks

bench: .venv/.setup
	.venv/bin/python -m benchmarks

# The laptop's endpoint while its processes are killed, three minutes; it writes what it counted into docs/promises.md.
bench-load: .venv/.setup
	.venv/bin/python -m benchmarks.load

# Hours for all of it: every system call of every verb, disturbed in four ways. Needs cc.
bench-faults: .venv/.setup
	.venv/bin/python -m isthmus.tests.faults.every $(VERBS)

# The pages that follow from the code, then the site, into build/site: a link that leads nowhere fails it.
docs: .venv/.setup
	.venv/bin/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

clean:
	rm -rf .venv build *.egg-info
