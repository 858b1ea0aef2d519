# make setup | demo | test | test-soak | test-stack | test-isthmus | test-room ROOM=events | test-often | test-starved TESTS=tests/ui TIMES=10 | check | audit | lock | upgrade | bench | bench-load | bench-faults VERBS="ingest --every 9" | docs | pictures
PYTHON ?= python3
UV = .venv/bin/uv pip
HERE = --quiet --python .venv/bin/python
# Whatever is installed, also to build a source distribution, is in the lock, and its digest is one of the lock's.
LOCKED = --require-hashes --require-build-hashes --build-constraints requirements.lock
# Our projects come last, built by what is locked.
# An older setup's folder of metadata is removed: Python would find its entry points before those that are installed.
OURS = rm -rf isthmus.egg-info && $(UV) install $(HERE) --no-deps --no-build-isolation --editable . --editable ./localstack

.PHONY: setup demo test test-soak test-stack test-isthmus test-room test-often test-starved check audit lock upgrade bench bench-load bench-faults docs pictures clean

# pip, of which each Python has one, brings uv by the lock's digests; uv brings the rest.
.venv/bin/uv: requirements.lock
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.txt
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement .venv/uv.txt
	@touch $@

# Only what the laptop needs: seconds, not minutes.
.venv/.demo: .venv/bin/uv pyproject.toml requirements.lock setup.py localstack/pyproject.toml localstack/setup.py
	$(UV) install $(HERE) $(LOCKED) --constraint requirements.lock --requirement pyproject.toml --extra demo --group build
	$(OURS)
	@touch $@

# Everything that the tests and the checks need, and nothing else. GoogleSQL is compiled into the user's cache once (30 s of CPU, 1 GB).
.venv/.setup: .venv/bin/uv pyproject.toml requirements.lock setup.py localstack/pyproject.toml localstack/setup.py
	$(UV) sync $(HERE) $(LOCKED) requirements.lock
	$(OURS)
	.venv/bin/python -m isthmus_stack.gcp.googlesql
	@touch $@ .venv/.demo

# The lock, made anew from what the projects require: what is locked stays as long as it fits. `make upgrade` takes the newest.
lock: .venv/bin/uv
	PATH="$(CURDIR)/.venv/bin:$$PATH" .ci/lock
upgrade: .venv/bin/uv
	PATH="$(CURDIR)/.venv/bin:$$PATH" .ci/lock requirements.lock --upgrade

setup: .venv/.setup

demo: .venv/.demo
	cd examples/openbandit && ../../.venv/bin/isthmus demo

PYTEST = .venv/bin/pytest --numprocesses 4 --dist loadscope --no-loadscope-reorder

# Both suites in one call, so that the workers end together.
test: .venv/.setup
	$(PYTEST) -m "not soak"

# Kill chains, mutants and many-world simulations.
test-soak: .venv/.setup
	$(PYTEST) -m soak

test-stack: .venv/.setup
	$(PYTEST) -m "not soak" localstack/tests

test-isthmus: .venv/.setup
	$(PYTEST) -m "not soak" tests

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

# Known weaknesses of what is locked; it asks the package index's advisory service. A package that it cannot ask about fails it, too.
audit: .venv/.setup
	@.venv/bin/pip-audit --strict --progress-spinner off --disable-pip --requirement requirements.lock || { status=$$?; echo \
	  "make audit: a table above names weaknesses: take newer versions by make upgrade. An ERROR above: the advisory service was not asked, and nothing is known" >&2; \
	  exit $$status; }

bench: .venv/.setup
	.venv/bin/python -m benchmarks

# The laptop's endpoint while its processes are killed, three minutes; it writes what it counted into docs/promises.md.
bench-load: .venv/.setup
	.venv/bin/python -m benchmarks.endpoints.load

# Hours for all of it: every system call of every verb, disturbed in four ways. Needs cc.
bench-faults: .venv/.setup
	.venv/bin/python -m isthmus.tests.faults.every $(VERBS)

# The pages that follow from the code, then the site, into build/site: a link that leads nowhere fails it.
docs: .venv/.setup
	.venv/bin/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

# The README's figures and pictures, taken from a run of both demos. Needs Chromium: apt-get install chromium-headless-shell
pictures: .venv/.setup
	.venv/bin/python docs/pictures.py

clean:
	rm -rf .venv build *.egg-info localstack/build localstack/*.egg-info
