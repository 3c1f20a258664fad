# make run    set everything up and start the hub on SQLite, with the sandbox
# make test   set everything up, then lint, types and all tests against private servers
# make coverage  tell which lines and branches of the hub no test comes to
# make fuzz   ask each call of the API thousands of things, good and bad
# make faults    play every fault at every moment, the drain of thousands, and attacks (half an hour)
# make bench  measure beside other servers, and print the tables (some twelve minutes)
# make bench-soak    see how the hub grows with its sockets, and ten minutes of coming and going
# make bench-readme  write what both have found into the README
# make pictures   take the pictures of the README anew
# make check  lint and types alone
# make audit  hold the pinned versions of all libraries against the published advisories

PYTHON ?= python3
BIN := .venv/bin
# Outages come among themselves; tests of storms and of timing want the machine to themselves.
ALONE := tests/faults/test_sign_in_storm.py tests/faults/test_departures.py tests/faults/attacks \
	tests/api/test_codes_timing.py
CORES := $(shell getconf _NPROCESSORS_ONLN)
# Tests wait for nearly half of their time, outages for most of theirs.
PART := --dist loadfile $(ALONE:%=--ignore=%)
# The files' own order, with the quick ones of units last: by the number of their tests, as is the default, a few
# long races would be left to one process.
ORDER := --no-loadscope-reorder
# What tests write is thrown away soon: it is kept in memory, where there is room for it.
ROOMY := $(shell df -Pk /dev/shm 2>/dev/null | awk 'NR == 2 && $$4 > 4000000 { print "/dev/shm" }')

.PHONY: run test coverage fuzz faults bench bench-soak bench-readme pictures check audit servers clean

run: .venv/run
	$(BIN)/hub serve

test: export TMPDIR := $(or $(ROOMY),$(TMPDIR),/tmp)
test: .venv/test servers check
	$(BIN)/pytest $(PART) $(ORDER) --numprocesses $$(($(CORES) * 3 / 2)) --ignore=tests/faults
	$(BIN)/pytest $(PART) --numprocesses $$(($(CORES) * 2)) tests/faults
	$(BIN)/pytest $(ALONE)

# Measured, all is slower, and a test that fails of it must not take the figures with it.
coverage: export TMPDIR := $(or $(ROOMY),$(TMPDIR),/tmp)
coverage: .venv/test servers
	mkdir -p var && rm -f var/coverage*
	$(BIN)/coverage run -m pytest $(PART) $(ORDER) --numprocesses $(CORES) || test $$? = 1
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --show-missing --skip-covered

fuzz: .venv/test
	HUB_FUZZ_EXAMPLES=300 $(BIN)/pytest tests/api/test_fuzz.py

# The report of what was measured is var/faults/faults.md, and faults.json.
faults: .venv/test servers
	HUB_FAULT_REPORT=var/faults $(BIN)/pytest -m "slow or not slow" \
		tests/faults/matrix tests/faults/test_drain.py tests/faults/attacks

bench: .venv/test servers
	$(BIN)/python -m tests.bench

bench-soak: .venv/test servers
	$(BIN)/python -m tests.bench curve soak --json var/bench-soak.json

bench-readme: .venv/test
	$(BIN)/python -m tests.bench.readme $(wildcard var/bench.json var/bench-soak.json)

pictures: .venv/test servers
	$(BIN)/python -m tests.pictures

check: .venv/test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The auditor has an environment of its own: what it needs is nothing to the hub.
audit: .venv/audit
	$(BIN)/python .ci/audit.py .venv/audit/bin/pip-audit constraints.txt

.venv/audit: | .venv/bin/pip
	$(PYTHON) -m venv $@ && $@/bin/pip install --quiet pip-audit==2.10.1 || rm -rf $@

# Debian's Python has no ensurepip without the package python3-venv; its own pip then brings one in.
.venv/bin/pip:
	$(PYTHON) -m venv .venv 2>/dev/null || { \
		rm -rf .venv && $(PYTHON) -m venv --without-pip .venv && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }

# The stamps are files, so that a second run does not install again.
.venv/run: pyproject.toml constraints.txt | .venv/bin/pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/test: .venv/run
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

# What the tests start for themselves. As root on Debian it is installed; elsewhere the missing part is named, and
# the tests that need it are skipped (or fail, with HUB_TEST_REQUIRE_ALL=1).
servers:
	@missing=""; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	command -v mariadbd >/dev/null || test -x /usr/sbin/mariadbd || missing="$$missing mariadb-server"; \
	ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1 || missing="$$missing libfaketime"; \
	command -v chromium >/dev/null || missing="$$missing chromium fonts-noto-cjk"; \
	if test -n "$$missing"; then \
		if command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
			apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
				apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
		else \
			echo "missing, please install:$$missing"; \
		fi; \
	fi

clean:
	rm -rf .venv var build dist .mypy_cache .ruff_cache .hypothesis
