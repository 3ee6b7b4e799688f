# Needs Python 3.11 or later; everything else goes into .venv.

BIN = .venv/bin
COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-header

.PHONY: bench demo demo-reset test lint lock screenshots venv

demo: venv
	@$(BIN)/python -m portal.demo

demo-reset: venv
	@$(BIN)/python -m portal.demo --reset

# On all cores; `make test ARGS="tests/teams -x"` runs a part, `make test ARGS=-n0` all in one process.
test: venv
	@.ci/browser.sh
	@$(BIN)/python -m pytest -n auto $(ARGS)

# What sign-on, launches and hostile messages cost; `make bench ARGS="launch"` measures a part. See docs/performance.md.
bench: venv
	@$(BIN)/python -m tests.bench $(ARGS)

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy manage.py portal provisioning teams tests
	$(BIN)/lint-imports

lock: venv
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt

screenshots: venv
	$(BIN)/python -m tests.browser.screenshots

venv:
	@.ci/venv.sh
