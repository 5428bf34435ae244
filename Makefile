# Everything a developer does. `make` alone says what there is.
PYTHON  ?= python3
VENV    ?= .venv
BIN     := $(VENV)/bin
ARGS    ?=
SOAK    ?= 300
SEED    ?=
WORKERS ?= 1
# The time that archives and bills of materials bear: that of the commit; an unpacked source archive bears its own.
COMMITTED = $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y pyproject.toml))

.DEFAULT_GOAL := help
.PHONY: help demo test test-full soak check format bench screenshots lock licences sbom wheel release clean

help: ## this text
	@echo "footfall: counts of passages, from the sensor's serial line to open data"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  ARGS=\"...\" goes to the program, e.g. make demo ARGS=\"--port 8080 --history 7\""

demo: ## start the simulated city on this machine: http://127.0.0.1:8000 (Ctrl-C stops it)
	@$(PYTHON) tools/setup.py demo --venv $(VENV)
	@exec $(BIN)/footfall-demo $(ARGS)

test: ## run every test with small seeded counts (about 30 minutes on two cores)
	@$(PYTHON) tools/setup.py test --venv $(VENV)
	@$(BIN)/python -m pytest -n 3 --dist loadgroup $(ARGS)

test-full: ## the same and the large counts (about 80 minutes on two cores)
	@$(PYTHON) tools/setup.py test --venv $(VENV)
	@$(BIN)/python -m pytest -n 3 --dist loadgroup -m "full or not full" $(ARGS)

soak: ## strike the running system with faults for SOAK=300 seconds (SEED=7 repeats a run, WORKERS=2)
	@$(PYTHON) tools/setup.py test --venv $(VENV)
	@PYTHONPATH=tests $(BIN)/python -m footfall_soak --seconds $(SOAK) --workers $(WORKERS) $(if $(SEED),--seed $(SEED)) $(ARGS)

check: ## lint, types (Python and JavaScript), import contracts
	@$(PYTHON) tools/setup.py check --venv $(VENV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/check_scripts.py

format: ## put the code into the house format
	@$(PYTHON) tools/setup.py format --venv $(VENV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: ## measure speed, memory and size against named peers (ARGS=report makes docs/performance.md)
	@$(PYTHON) tools/setup.py test --venv $(VENV)
	@PYTHONPATH=tests $(BIN)/python -m bench $(ARGS)

screenshots: ## pictures of every page in dist/screenshots (ARGS="FOLDER --page now --url http://…")
	@$(PYTHON) tools/setup.py test --venv $(VENV)
	@$(BIN)/python -m bench.screenshots $(ARGS)

lock: ## lock the dependencies anew (ARGS=--keep adds only what is new, ARGS="--package NAME" renews one)
	@$(PYTHON) tools/setup.py format --venv $(VENV)
	@$(BIN)/python tools/lock.py $(ARGS)

licences: ## list the licence of every deployed package in dist/licences.md, and refuse what may not be
	@$(PYTHON) tools/setup.py check --venv $(VENV)
	@$(BIN)/python tools/licences.py $(ARGS)

sbom: ## write the bills of materials of edge and server into dist/ (CycloneDX)
	@$(PYTHON) tools/setup.py check --venv $(VENV)
	@SOURCE_DATE_EPOCH=$(COMMITTED) $(BIN)/python tools/sbom.py $(ARGS)

wheel: ## build the wheel and the source archive into dist/, the same bytes from the same commit
	@$(PYTHON) tools/setup.py check --venv $(VENV)
	@SOURCE_DATE_EPOCH=$(COMMITTED) $(BIN)/python -m build --no-isolation $(ARGS)

release: ## all that a city installs and checks, with its sums, into dist/release
	@test -z "$$(git status --porcelain 2>/dev/null)" || { echo "footfall: commit or put away your changes first" >&2; exit 2; }
	@$(PYTHON) tools/setup.py check --venv $(VENV)
	@rm -rf dist/release
	@SOURCE_DATE_EPOCH=$(COMMITTED) $(BIN)/python -m build --no-isolation --outdir dist/release
	@SOURCE_DATE_EPOCH=$(COMMITTED) $(BIN)/python tools/sbom.py --out dist/release --wheel dist/release/footfall-*.whl
	@$(BIN)/python tools/licences.py --out dist/release/licences.md
	@cp requirements/edge.txt requirements/server.txt dist/release
	@cd dist/release && sha256sum -- * > ../SHA256SUMS && mv ../SHA256SUMS .

clean: ## remove what the set-up and the tools made
	rm -rf $(VENV) node_modules dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf api/footfall_api/static/vendor api/footfall_api/static/bundle
