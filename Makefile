# make rehearse    the main job, on a local AWS: buy a Capacity Block, deploy nixl-efa-prod into it, look, destroy
#                  ENV=dev: another environment; KEEP=1: leave it; REAL=1: with nodes that boot (Linux, root)
# make test        everything that can go wrong, tried
# make test-matrix the same under other versions, at other moments, with other signals
# make synth       Terraform JSON for every environment
# make bench       figures: synthesis and search, side by side
# make lint        ruff and mypy
# make lock        resolve Pipfile.lock anew

PYTHON ?= python3
ENV ?= prod
VENV := .venv
BIN := $(VENV)/bin
# pipenv asks for no confirmation, prints no courtesy notice and uses the virtual environment that stands here.
PIPENV := VIRTUAL_ENV="$(CURDIR)/$(VENV)" PIPENV_VERBOSITY=-1 PIPENV_NOSPIN=1 PIPENV_VENV_IN_PROJECT=1 $(BIN)/pipenv
PIPENV_VERSION := 2026.10.3
NODE_INSTALLED := node_modules/installed-$(shell node -p process.versions.modules 2>/dev/null)
export CHECKPOINT_DISABLE := 1

.PHONY: install rehearse test test-matrix synth bench lint lock clean

install: $(VENV)/installed $(NODE_INSTALLED)

$(VENV)/installed: Pipfile.lock pyproject.toml local_aws/pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is not Python 3.11 or newer: name one with make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the Python packages of Pipfile.lock into $(VENV)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check pipenv==$(PIPENV_VERSION) >&2
	@$(PIPENV) sync --dev >&2
	@touch $@

# Modules of machine code are built for one ABI of Node.js: another one installs anew.
$(NODE_INSTALLED): package-lock.json
	@command -v npm >/dev/null || { echo "npm is not on PATH: install Node.js 20 (it brings npm)" >&2; exit 1; }
	@echo "Installing cdktf-cli of package-lock.json into node_modules" >&2
	@npm ci --no-audit --no-fund --loglevel=error >&2
	@touch $@

rehearse: install
	@$(BIN)/nixl-efa rehearse $(ENV) $(if $(KEEP),--keep) $(if $(REAL),--real-nodes)

synth: install
	@PATH="$(CURDIR)/node_modules/.bin:$$PATH" cdktf synth

# A file at a time: most of a run waits for Terraform. TESTS=tests/settings runs all that is there.
test: install .tools/checkov/installed
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(or $(TESTS),-m "not matrix")

# A test at a time.
test-matrix: install
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -m matrix

# Apart, since it is as large as all else together and its versions would tie ours.
.tools/checkov/installed: tests/terraform/checkov-requirements.txt
	@echo "Installing checkov into .tools/checkov" >&2
	@$(PYTHON) -m venv .tools/checkov
	@.tools/checkov/bin/python -m pip install --quiet --disable-pip-version-check -r $< >&2
	@touch $@

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy .

bench: install
	@$(BIN)/python -m benchmarks

lock:
	@$(PIPENV) lock
	@$(PYTHON) scripts/neutral_lock.py

clean:
	rm -rf $(VENV) node_modules .tools .rehearsal cdktf.out build *.egg-info
