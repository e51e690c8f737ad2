# make rehearse    the main job, on a local AWS: buy a Capacity Block, deploy nixl-efa-prod into it, look, destroy
#                  ENV=dev: another environment; KEEP=1: leave it; REAL=1: with nodes that boot (Linux, root);
#                  SERVE=1: these also serve a model (a real vLLM, 3.7 GB at the first run);
#                  CDK=cdktn: by CDK Terrain in place of cdktf (synth and install take it, too)
# make test        everything that can go wrong, tried
# make test-matrix the same under other versions, at other moments, with other signals
# make test-serve  a service with a real engine, on nodes that boot (Linux, root, a quiet machine)
# make synth       Terraform JSON for every environment
# make docs        the documentation as a site, in English and Japanese: build/site
# make bench       figures: synthesis and search, side by side
# make lint        ruff and mypy
# make lock        resolve Pipfile.lock anew

PYTHON ?= python3
ENV ?= prod
CDK ?= $(or $(NIXL_EFA_CDK),cdktf)
TERRAFORM := $(or $(TERRAFORM_BINARY_NAME),terraform)
VENV := .venv
BIN := $(VENV)/bin
# pipenv asks for no confirmation, prints no courtesy notice and uses the virtual environment that stands here.
PIPENV := VIRTUAL_ENV="$(CURDIR)/$(VENV)" PIPENV_VERBOSITY=-1 PIPENV_NOSPIN=1 PIPENV_VENV_IN_PROJECT=1 $(BIN)/pipenv
# Of the AWS bindings' thousands of modules a few are used: those are compiled when they are.
NO_COMPILE := --extra-pip-args=--no-compile
PIPENV_VERSION := 2026.10.3
export CHECKPOINT_DISABLE := 1
# Each command would compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

# Of each library: its Python packages, and the folder of its command line's packages with the file of their installation.
# Modules of machine code, which cdktf-cli has, are built for one ABI of Node.js: another one installs anew.
PYTHON_cdktf := $(VENV)/installed
PYTHON_cdktn := $(VENV)/installed-cdktn
NPM_cdktf := node_modules
NPM_cdktn := npm/cdktn/node_modules
NODE_cdktf := $(NPM_cdktf)/installed-$(shell node -p process.versions.modules 2>/dev/null)
NODE_cdktn := $(NPM_cdktn)/installed
# What a comparison of both needs beside the installation, with Node.js 20, 22 and 24.
BOTH := $(PYTHON_cdktn) $(NODE_cdktn) npm/node/node_modules/installed
ifeq ($(NPM_$(CDK)),)
$(error CDK is $(CDK): it is cdktf, or cdktn for CDK Terrain)
endif
export NIXL_EFA_CDK := $(CDK)

# Installs what the package-lock.json of a folder says.
npm_ci = echo "Installing $(2) into $(1)/node_modules" >&2; \
	npm ci --prefix $(1) --no-audit --no-fund --loglevel=error >&2

.PHONY: install has-node has-terraform python-packages rehearse test test-matrix test-serve synth docs bench lint lock clean

# What make can't install is looked for before anything is downloaded.
has-node:
	@command -v node >/dev/null && command -v npm >/dev/null || \
		{ echo "Node.js (node and npm) is not on PATH: install version 20 or 22" >&2; exit 1; }
ifeq ($(CDK),cdktn)
	@node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major > 22 || major == 22 && minor >= 19 ? 0 : 1)' || \
		{ echo "cdktn needs Node.js 22.19 or newer: node on PATH is $$(node --version)" >&2; exit 1; }
endif

has-terraform:
	@command -v $(TERRAFORM) >/dev/null || { echo "$(TERRAFORM) is not on PATH: install Terraform 1.4 or newer," \
		"or OpenTofu and set TERRAFORM_BINARY_NAME=tofu" >&2; exit 1; }

install: has-node python-packages $(NODE_$(CDK))

python-packages: $(PYTHON_$(CDK))

$(VENV)/installed: Pipfile.lock pyproject.toml local_aws/pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo "$(PYTHON) is not Python 3.11 or newer: name one with make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the Python packages of Pipfile.lock into $(VENV)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check pipenv==$(PIPENV_VERSION) >&2
	@$(PIPENV) sync --dev $(NO_COMPILE) >&2
	@touch $@

$(VENV)/installed-cdktn: $(VENV)/installed
	@echo "Installing CDK Terrain's Python packages of Pipfile.lock into $(VENV)" >&2
	@$(PIPENV) sync --categories cdktn $(NO_COMPILE) >&2
	@touch $@

$(NODE_cdktf): package-lock.json
	@$(call npm_ci,.,cdktf-cli of package-lock.json)
	@touch $@

$(NODE_cdktn): npm/cdktn/package-lock.json
	@$(call npm_ci,npm/cdktn,cdktn-cli of its package-lock.json)
	@touch $@

rehearse: has-terraform install
	@$(if $(SERVE),scripts/fetch-serve)
	@$(BIN)/nixl-efa rehearse $(ENV) $(if $(KEEP),--keep) $(if $(REAL),--real-nodes) $(if $(SERVE),--serve .tools/serve)

synth: install
	@PATH="$(CURDIR)/$(NPM_$(CDK))/.bin:$$PATH" $(CDK) synth

# Four at a time, a file at a time: half of a run waits for Terraform. TESTS=tests/settings runs all that is there.
test: has-terraform install .tools/checkov/installed .tools/engines/installed .tools/router/installed .tools/mlflow/installed .tools/hub/installed
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(or $(TESTS),-m "not matrix")

# A real vLLM on machines of this one: Linux, root, 2 cores of its own, 3.6 GB at the first run. Figures are printed.
test-serve: install
	@$(BIN)/python -m pytest -n 0 -s tests/service/real_engine.py tests/service/real_rehearsal.py

# A file at a time, as above: tests of a file share what they build, and their order.
test-matrix: has-terraform install $(BOTH)
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m matrix

npm/node/node_modules/installed: npm/node/package-lock.json
	@$(call npm_ci,npm/node,Node.js 20 to 24 of its package-lock.json)
	@touch $@

# Apart, since it is as large as all else together and its versions would tie ours.
.tools/checkov/installed: tests/terraform/checkov-requirements.txt
	@echo "Installing checkov into .tools/checkov" >&2
	@$(PYTHON) -m venv .tools/checkov
	@.tools/checkov/bin/python -m pip install --quiet --disable-pip-version-check -r $< >&2
	@touch $@

# The site's tools: apart, as above. Of npm's part one file is used, the script that draws the pictures.
.tools/docs/installed: docs_site/requirements.txt
	@echo "Installing mkdocs-material into .tools/docs" >&2
	@$(PYTHON) -m venv .tools/docs
	@.tools/docs/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $< >&2
	@touch $@

npm/docs/node_modules/installed: npm/docs/package-lock.json
	@$(call npm_ci,npm/docs,mermaid of its package-lock.json)
	@touch $@

docs: has-node .tools/docs/installed npm/docs/node_modules/installed
	@.tools/docs/bin/python docs_site/build.py

# Of both engines what reads their configuration, and nothing else of what they need: seconds in place of a minute.
.tools/engines/installed: tests/export/engines-requirements.txt
	@echo "Installing aws-parallelcluster and dstack into .tools/engines" >&2
	@$(PYTHON) -m venv .tools/engines
	@.tools/engines/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile -r $< >&2
	@touch $@

# Wheels, since machines of the tests install them: of their Python, whatever the Makefile's is.
.tools/router/installed: tests/service/router-requirements.txt
	@echo "Fetching vllm-router into .tools/router" >&2
	@$(PYTHON) -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version 3.11 \
		--implementation cp --abi cp311 --abi abi3 --abi none --platform manylinux_2_28_x86_64 \
		--platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --platform any --dest .tools/router -r $< >&2
	@touch $@

# Apart, as above: `nixl-efa bench --mlflow` needs it, and nothing else does.
.tools/mlflow/installed: tests/bench/mlflow-requirements.txt
	@echo "Installing mlflow-skinny into .tools/mlflow" >&2
	@$(PYTHON) -m venv .tools/mlflow
	@.tools/mlflow/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile -r $< >&2
	@touch $@

.tools/hub/installed: tests/service/hub-requirements.txt
	@echo "Installing huggingface_hub and uv into .tools/hub" >&2
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --target .tools/hub --upgrade -r $< >&2
	@touch $@

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy .

bench: install $(BOTH)
	@$(BIN)/python -m benchmarks

lock:
	@$(PIPENV) lock
	@$(PYTHON) scripts/neutral_lock.py

clean:
	rm -rf $(VENV) node_modules npm/*/node_modules .tools .rehearsal cdktf.out build *.egg-info
