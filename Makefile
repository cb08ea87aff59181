# Two commands for a fresh machine with Python >= 3.11, make, node and npm:  make demo  and  make test.
# Each sets up what it needs and keeps stamps in .make/, so that the next time is quick.

.PHONY: help demo lab test check lint types front docs bench bench-page bench-tuning bench-rows bench-readme clusters fronts pictures site setup kernels oldest httpbin chromium requests clean
# What comes before the tests is done side by side, one more than the cores of a small machine: it waits for downloads.
ifeq ($(MAKECMDGOALS),test)
MAKEFLAGS += --jobs=3
else
.NOTPARALLEL:
endif
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMPS := .make
BUNDLE := fastreq_jupyter/notebook/static/monitor.js
NODE_MODULES := js/node_modules/.package-lock.json
FRONT_SOURCES := $(shell find js/src -type f 2>/dev/null) $(wildcard js/build.mjs js/tsconfig.json)
CODE := fastreq_jupyter tests notebooks docs/conf.py

# The first interpreter that is new enough and can make virtual environments. PYTHON=... overrules the search.
FITS := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c '$(FITS)' >/dev/null 2>&1 && { echo "$$p"; break; }; done)
PYTHON_FITS = $(shell "$(PYTHON)" -c '$(FITS)' >/dev/null 2>&1 && echo yes)
NODE_FITS = $(shell node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' >/dev/null 2>&1 && echo yes)
NPM_FITS = $(shell npm --version 2>/dev/null)
NO_PYTHON = Python 3.11 or newer with venv is missing: install it (Debian: apt-get install python3 python3-venv), \
	or name one: make PYTHON=/path/to/python3
NO_NODE = Node.js 20 or newer is missing: install it (Debian: apt-get install nodejs; or from nodejs.org)
NO_NPM = npm is missing: install it (Debian: apt-get install npm; with nodejs.org it comes along)

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --quiet --python
# The bundle is made before, by npm ci: the build hook, which would say npm install, has nothing left to do.
INSTALL_HERE := HATCH_JUPYTER_BUILDER_SKIP_NPM=1
# One more than the cores of a small machine: many a test waits.
SPREAD := -n 3 --dist worksteal
PYTEST := $(BIN)/python -m pytest $(SPREAD) -r s

help:
	@echo "make demo      run the quickstart notebook in a real kernel, print its table, leave an HTML page"
	@echo "make lab       open the notebooks in JupyterLab"
	@echo "make test      everything: lint, types, front end, Python, notebooks, kernels, browsers"
	@echo "make check     lint, types and the fast tests, under a minute"
	@echo "make docs      write the generated parts of README.md and docs/reference.md anew"
	@echo "make bench     benchmarks, half an hour; QUICK=1: minutes; WORKLOADS=\"200b h2\" CLIENTS=\"curl raw-*\" ROUNDS=3"
	@echo "make bench-page  how smoothly the page draws, in a browser; make bench ends with it"
	@echo "make bench-tuning  what concurrency=auto and the advice of a run's summary bring; make bench ends with it"
	@echo "make bench-rows  a million requests whose rows leave memory; make bench ends with it"
	@echo "make clusters  partition_plan inside Spark and Ray; Dask is part of make test"
	@echo "make fronts    Firefox, marimo, Voila and qtconsole, each for real; 900 MB on disk, without Firefox"
	@echo "make bench-readme  write the last benchmarks into README.md and docs"
	@echo "make pictures  screenshots for the README"
	@echo "make site      the guides as web pages, in site/"
	@echo "make clean     remove everything that make made"

demo: setup
	@$(BIN)/python notebooks/execute.py notebooks/00_quickstart.ipynb demo-output

lab: setup
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/00_quickstart.ipynb

# Fast failures first, then what takes longest; the last line is pytest's closing line.
test: lint types front oldest kernels httpbin chromium requests
	@$(PYTEST)

# requests with urllib3 itself: beside niquests another library has that name. It sees no plugin and no other conftest.
PLAIN := connections exchange proxy sessions tls
requests: $(STAMPS)/plain
	@PYTHONPATH=. .venv-plain/bin/python -m pytest --confcutdir tests/backends $(PLAIN:%=tests/backends/test_%.py) -k requests

# Every backend against servers that misbehave in real time is left to `make test`.
SLOW_ROOMS := backends benchmarks browser contract faultserver integration
check: lint types front
	@$(PYTEST) -m "not slow and not kernel and not browser" $(SLOW_ROOMS:%=--ignore=tests/%)

# Lower bounds are promises, too: fast tests of the rooms that stand on other libraries, on the oldest versions allowed.
OLDEST_ROOMS := backends client engine frame journal
oldest: $(STAMPS)/oldest
	@.venv-oldest/bin/python -m pytest $(SPREAD) -m "not slow and not kernel and not browser" $(OLDEST_ROOMS:%=tests/%) --ignore=tests/engine/test_budget.py

lint: setup
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)

types: setup
	@$(BIN)/mypy

front: setup
	@cd js && npm run --silent check && npm test --silent

docs: setup
	@$(BIN)/python tests/readme_parts.py --write

PEERS := aiohttp niquests httpx requests pycurl fastreq2 fastreq3
BENCH := PYTHONPATH=tests $(BIN)/python -m benchmarks.bench
bench: setup $(STAMPS)/nginx $(PEERS:%=$(STAMPS)/bench-%)
	@$(BENCH) $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) --workloads "$(WORKLOADS)" --clients "$(CLIENTS)"
	@$(if $(QUICK)$(WORKLOADS),,$(MAKE) --no-print-directory bench-page bench-tuning bench-rows)

bench-page: setup chromium
	@$(BIN)/python -m pytest -n 0 -s tests/benchmarks/page_frames.py

bench-tuning: setup
	@$(BIN)/python -m pytest -n 0 tests/benchmarks/tuning_runs.py

bench-rows: setup $(STAMPS)/nginx
	@PYTHONPATH=tests $(BIN)/python -m benchmarks.many_rows

# Engines that are too large for the development environment, each in one of its own; Spark needs a Java runtime.
clusters: $(STAMPS)/spark $(STAMPS)/ray
	@PYTHONPATH=tests .venv-spark/bin/python tests/clusters/engines.py spark
	@PYTHONPATH=tests .venv-ray/bin/python tests/clusters/engines.py ray

# Front ends that are too large for the development environment.
FRONTS := firefox marimo voila qtconsole
fronts: setup chromium $(STAMPS)/fronts $(STAMPS)/firefox
	@$(BIN)/python -m pytest -n 0 $(FRONTS:%=tests/fronts/in_%.py)

bench-readme: setup
	@$(BENCH) --write

pictures: setup chromium
	@$(BIN)/python tests/browser/pictures.py

# A link that leads nowhere, or a guide that the index does not name, is an error. Only the repository itself has what is no page.
site: $(STAMPS)/site
	@rm -rf site
	@.venv-site/bin/python -m sphinx --quiet --fail-on-warning --keep-going --conf-dir docs . site
	@echo "site/index.html"

setup: $(STAMPS)/python

kernels: $(STAMPS)/kernel631 $(STAMPS)/colab

httpbin: $(STAMPS)/httpbin

chromium: $(STAMPS)/chromium

$(STAMPS):
	@mkdir -p $@

$(NODE_MODULES): js/package.json js/package-lock.json
	$(if $(NODE_FITS),,$(error $(NO_NODE)))
	$(if $(NPM_FITS),,$(error $(NO_NPM)))
	@echo "setting up: packages of the front end"
	@cd js && npm ci --silent --no-audit --no-fund
	@touch $@

$(BUNDLE): $(FRONT_SOURCES) $(NODE_MODULES)
	@echo "setting up: the front end"
	@cd js && npm run --silent build
	@touch $@

$(BIN)/python:
	$(if $(PYTHON_FITS),,$(error $(NO_PYTHON)))
	@echo "setting up: virtual environment $(VENV) ($(PYTHON))"
	@"$(PYTHON)" -m venv $(VENV)
	@$(PIP) $(VENV) install --upgrade 'pip>=25.1'

# The pip of the first environment fills the others.
.venv-%/bin/python: | $(BIN)/python
	@echo "setting up: virtual environment .venv-$*"
	@"$(PYTHON)" -m venv --without-pip .venv-$*

$(STAMPS)/python: pyproject.toml $(BUNDLE) | $(STAMPS) $(BIN)/python
	@echo "setting up: Python packages"
	@$(INSTALL_HERE) $(PIP) $(VENV) install -e . --group dev
	@touch $@

# Kernels before ipykernel 7 answer widgets differently, so the kernel tests run on both.
$(STAMPS)/kernel631: pyproject.toml $(BUNDLE) | $(STAMPS) .venv-kernel631/bin/python
	@echo "setting up: a second environment with ipykernel 6.31"
	@$(INSTALL_HERE) $(PIP) .venv-kernel631 install -e . --group kernel631
	@touch $@

# Colab replaces neither its IPython nor its widgets, so everything works on them too.
$(STAMPS)/colab: pyproject.toml $(BUNDLE) | $(STAMPS) .venv-colab/bin/python
	@echo "setting up: an environment as Google Colab has it"
	@$(INSTALL_HERE) $(PIP) .venv-colab install -e . --group colab
	@touch $@

$(STAMPS)/oldest: pyproject.toml tests/oldest.py $(BUNDLE) | $(STAMPS) .venv-oldest/bin/python
	@echo "setting up: an environment with the oldest versions allowed"
	@.venv-oldest/bin/python tests/oldest.py >$@.constraints
	@$(INSTALL_HERE) $(PIP) .venv-oldest install -c $@.constraints -e . --group oldest
	@touch $@

# httpbin asks for an old greenlet, Playwright for a new one: it gets an environment of its own.
$(STAMPS)/httpbin: pyproject.toml | $(STAMPS) .venv-httpbin/bin/python
	@echo "setting up: httpbin"
	@$(PIP) .venv-httpbin install --group httpbin
	@touch $@

$(STAMPS)/plain: pyproject.toml | $(STAMPS) .venv-plain/bin/python
	@echo "setting up: an environment with requests alone"
	@$(PIP) .venv-plain install --group plain
	@touch $@

$(STAMPS)/site: pyproject.toml | $(STAMPS) .venv-site/bin/python
	@echo "setting up: an environment for the site"
	@$(PIP) .venv-site install --group site
	@touch $@

$(STAMPS)/fronts: pyproject.toml $(BUNDLE) | $(STAMPS) .venv-fronts/bin/python
	@echo "setting up: an environment with marimo, Voila and qtconsole"
	@$(INSTALL_HERE) $(PIP) .venv-fronts install -e . --group fronts
	@touch $@

$(STAMPS)/spark: pyproject.toml $(BUNDLE) | $(STAMPS) .venv-spark/bin/python
	@command -v java >/dev/null || { echo "Java is missing: apt-get install default-jre-headless" >&2; exit 1; }
	@echo "setting up: an environment with Spark"
	@$(INSTALL_HERE) $(PIP) .venv-spark install -e . --group spark
	@touch $@

$(STAMPS)/ray: pyproject.toml $(BUNDLE) | $(STAMPS) .venv-ray/bin/python
	@echo "setting up: an environment with Ray"
	@$(INSTALL_HERE) $(PIP) .venv-ray install -e . --group ray
	@touch $@

# Debian's browser where it may be installed; without one the browser tests skip, but never in CI.
SUDO := $(if $(filter 0,$(shell id -u)),,sudo -n)
FIND_CHROMIUM := command -v "$${CHROMIUM:-chromium}" chromium-browser google-chrome
$(STAMPS)/chromium: | $(STAMPS)
	@if $(FIND_CHROMIUM) >/dev/null; then touch $@; \
	elif echo "setting up: chromium" && $(SUDO) apt-get update -qq >/dev/null 2>&1 \
		&& DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null 2>&1; then touch $@; \
	elif [ "$$CI" = true ]; then echo "chromium is missing and cannot be installed here: apt-get install chromium" >&2; exit 1; \
	else echo "chromium is missing, browser tests will be skipped: apt-get install chromium"; fi

$(STAMPS)/firefox: | $(STAMPS)
	@if command -v "$${FIREFOX:-firefox-esr}" firefox >/dev/null; then touch $@; \
	elif echo "setting up: firefox" && $(SUDO) apt-get update -qq >/dev/null 2>&1 \
		&& DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -y -qq --no-install-recommends firefox-esr >/dev/null 2>&1; then touch $@; \
	else echo "firefox is missing and cannot be installed here: name one, FIREFOX=/path/to/firefox" >&2; exit 1; fi

# Debian's nginx, unpacked and not installed: installed it would start serving port 80.
$(STAMPS)/nginx: | $(STAMPS)
	@if command -v nginx >/dev/null || test -x /usr/sbin/nginx; then mkdir -p $@; \
	elif (cd $(STAMPS) && apt-get download -qq nginx && dpkg -x nginx_*.deb nginx && nginx/usr/sbin/nginx -v) >/dev/null 2>&1; then :; \
	else rm -rf $@; echo "nginx is missing, a slower server without HTTP/2 takes its place: apt-get install nginx-light"; fi

# Each peer has an environment of its own: niquests takes the place of the urllib3 that requests uses.
.PRECIOUS: .venv-%/bin/python
$(STAMPS)/bench-%: pyproject.toml | $(STAMPS) .venv-bench-%/bin/python
	@echo "setting up: $* for the benchmarks"
	@if $(PIP) .venv-bench-$* install --group bench-$*; then touch $@; \
	else echo "$* cannot be installed here, the tables will say so"; fi

clean:
	rm -rf $(STAMPS) $(VENV) .venv-kernel631 .venv-colab .venv-oldest .venv-httpbin .venv-plain .venv-spark .venv-ray .venv-fronts .venv-bench-* .venv-site site demo-output js/node_modules fastreq_jupyter/notebook/static build dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find fastreq_jupyter tests notebooks -name __pycache__ -prune -exec rm -rf {} +
