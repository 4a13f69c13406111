# Two commands for a start: `make chat` and `make test`. PYTHON=/path/to/python3.12 chooses the
# Python that .venv is made with; otherwise python3, python3.12 or python3.11, whichever fits.

ifeq ($(origin PYTHON),undefined)
PYTHON := python3
INSTALL := $(PYTHON) scripts/install.py
else
INSTALL := $(PYTHON) scripts/install.py --strict
endif
IN_VENV := .venv/bin/python
PYTEST := $(IN_VENV) -m pytest

.PHONY: help chat test check format test-slow test-browser test-serving test-topology critique
.PHONY: golden audit env-train env-serving clean

help:
	@echo "make chat          install what is needed and start the chat page on 127.0.0.1:7860"
	@echo "make chat CATALOG=books.csv"
	@echo "                   the same over your own table (docs/your-catalogue.md)"
	@echo "make test          install the test packages too and run the fast suite"
	@echo "make check         ruff, ruff format --check, mypy --strict"
	@echo "make format        let ruff sort imports and format"
	@echo "make test-slow     the tests marked slow"
	@echo "make test-browser  the page in a real Chromium (/usr/bin/chromium)"
	@echo "make env-serving   make .venv-vllm with vLLM, for python -m agent.serve"
	@echo "make test-serving  the tests against a real vLLM server (on the CPU where there is no GPU)"
	@echo "make test-topology replicas, nginx, PostgreSQL, Chroma: one conversation, nothing lost"
	@echo "make critique      360 written turns: is each read exactly? (docs/results/critique.md)"
	@echo "make golden        the golden film conversations against the kept run; fails when worse"
	@echo "make audit         known vulnerabilities of the pinned packages (asks a service online)"
	@echo "make env-train     add the packages of training/"
	@echo "make clean         remove .venv and caches; conversations are kept"

# make chat CATALOG=books.csv [CONFIG=books.yaml] [INTERACTIONS=loans.csv]: another catalogue than
# the bundled films; a table is built into a catalogue first, and again whenever it changed.
chat:
	@$(INSTALL) runtime
ifdef CATALOG
	@folder=$$($(IN_VENV) -m catalog.prepare "$(CATALOG)" $(if $(CONFIG),--config "$(CONFIG)") \
		$(if $(INTERACTIONS),--interactions "$(INTERACTIONS)")) && \
		PARLEY_CATALOG="$$folder" $(IN_VENV) app.py
else
	@$(IN_VENV) app.py
endif

test:
	@$(INSTALL) runtime test
	$(PYTEST) -m "not slow and not browser and not serving and not topology"

check:
	@$(INSTALL) runtime test
	$(IN_VENV) -m ruff check .
	$(IN_VENV) -m ruff format --check .
	$(IN_VENV) -m mypy --strict catalog tools agent page app.py

format:
	@$(INSTALL) runtime test
	$(IN_VENV) -m ruff check --fix .
	$(IN_VENV) -m ruff format .

test-slow:
	@$(INSTALL) runtime test train
	$(PYTEST) -m "slow and not browser and not serving and not topology"

test-browser:
	@$(INSTALL) runtime test
	$(PYTEST) -m browser

# vLLM has an environment of its own: it pins other versions of shared packages.
env-serving:
	@$(PYTHON) scripts/install_serving.py

test-serving: env-serving
	@$(INSTALL) runtime test
	$(PYTEST) -m serving

# Starts what the machine has of PostgreSQL, nginx and Prometheus (Debian's packages); a test of a
# part that is absent skips and says so.
test-topology:
	@$(INSTALL) runtime test
	$(PYTEST) -m topology

critique:
	@$(INSTALL) runtime
	$(IN_VENV) -m evals.critique tests/critique/*.yaml tests/critique/fresh/*.yaml --failed

golden:
	@$(INSTALL) runtime
	$(IN_VENV) -m evals.golden tests/golden/films.yaml --out golden.jsonl
	$(IN_VENV) -m evals.compare tests/golden/films.reference.jsonl golden.jsonl

audit:
	@$(INSTALL) runtime audit
	$(IN_VENV) -m pip_audit --no-deps --disable-pip --requirement constraints.txt

env-train:
	@$(INSTALL) runtime train

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
