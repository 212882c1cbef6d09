# make run    the whole stack on this machine     make test   everything that must hold
# make help   the rest

PORT    ?= 3000
LISTEN  ?= 127.0.0.1
EVENT   ?= login
RUNS    ?= 15
SECONDS ?= 60
VENV    ?= .venv
PYTHON  ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& command -v $$python && break; done)

BIN      = $(VENV)/bin
# A process for each processor; the longest file, which comes first, is not kept for the end.
PARALLEL = -n auto --dist loadfile --no-loadscope-reorder
SAM_VENV = .venv-sam
CHECKOV_VENV = .venv-checkov
SAM      = SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 $(SAM_VENV)/bin/sam
LOCKED   = --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile --only-binary :all: -r
INSTALL  = pip install $(LOCKED)
LOCK     = $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate

# The folder of Lambda's Python, which compiles the layers; sam takes the real one, no pyenv shim.
PYTHON313 ?= $(shell for python in python3.13 \
	"$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13.*/bin/python3.13; do \
	"$$python" -c 'import sys; print(sys.base_exec_prefix + "/bin")' 2>/dev/null && break; done)
EMULATOR_VENV = .venv-emulator
NODE_MODULES  = miniprogram/node_modules/.package-lock.json
TRACKED   = git ls-files -z --cached --others --exclude-standard -- \
	':!requirements' ':!*/requirements.txt' ':!*/package-lock.json' ':!*.png' ':!.secrets.baseline'
TEMPLATES = template.yaml infra/egress.yaml infra/observability.yaml

BUILT   = .aws-sam/built
SOURCES = template.yaml samconfig.toml $(wildcard infra/*.yaml local/sam_template.py) \
	$(shell find layers functions -name __pycache__ -prune -o -type f -print)

.PHONY: help run demo crowd load test test-crowd test-hostile fault-table test-console test-miniprogram lint types secrets baseline template check format lock docs clean deploy \
	build bench profile record test-build demo-emulator sam-local invoke
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

run: $(VENV)/installed ## Start API, DynamoDB and a simulated WeChat on this machine (PORT=3000)
	@PORT=$(PORT) LISTEN=$(LISTEN) exec $(BIN)/python -m local

demo: $(VENV)/installed ## Walk the whole journey over HTTP and check every step
	@$(BIN)/python -m local.demo

crowd: $(VENV)/installed ## 200 workers share one access_token, on DynamoDB Local (needs Java and npm)
	@PYTHONPATH=layers/crypto:layers/auth $(BIN)/python -m tests.races

load: $(VENV)/installed ## Visitors and faults for so many SECONDS, on DynamoDB Local (needs Java and npm)
	@SECONDS=$(SECONDS) PYTHONPATH=layers/crypto:layers/auth $(BIN)/python -m tests.hostile.load

test: $(VENV)/installed ## Run every test, with coverage
	$(BIN)/python -m pytest $(PARALLEL) tests/unit tests/integration tests/e2e --cov \
		--cov-report=term-missing:skip-covered $(ARGS)
	@$(if $(ARGS),:,$(MAKE) --no-print-directory test-crowd test-hostile test-console test-miniprogram)

# By themselves, since they measure how long workers wait, and coverage would slow them down.
test-crowd: $(VENV)/installed ## Test the access_token's races on DynamoDB Local (needs Java and npm)
	$(BIN)/python -m pytest tests/races

test-hostile: $(VENV)/installed ## Attack it, fuzz it, break every call, and load it (needs Java and npm)
	$(BIN)/python -m pytest $(PARALLEL) tests/hostile/fuzz tests/hostile/faults tests/hostile/attacks tests/hostile/load

fault-table: $(VENV)/installed ## Write what each fault comes to into docs/faults.md
	REWRITE=1 $(BIN)/python -m pytest tests/hostile/faults/test_matrix.py

test-console: $(VENV)/installed ## Press every button of the console (needs Chromium)
	$(BIN)/python -m pytest tests/console

# Where Node.js is missing this says so; in CI it fails.
test-miniprogram: $(VENV)/installed ## Test the client kit and the demo mini-program (Node.js 18.18 or newer)
	@if npm --version >/dev/null 2>&1 && node -e \
		'const [a, b] = process.versions.node.split("."); process.exit(a > 18 || (a == 18 && b > 17) ? 0 : 1)'; then \
		$(MAKE) --no-print-directory $(NODE_MODULES) && PYTHON=$(BIN)/python npm --prefix miniprogram --silent test; \
	else \
		printf '\n!! NOT TESTED: the client kit and the demo in miniprogram/ need Node.js 18.18 or newer with npm (nodejs.org), then: make test-miniprogram\n\n' >&2; \
		test "$$CI" != true; \
	fi

build: $(BUILT) ## Build what is deployed, and an SBOM of each layer (.aws-sam/build)

# The stamp comes last, so a build that broke off is made again.
$(BUILT): $(SOURCES) $(SAM_VENV)/installed | python3.13
	PATH="$(PYTHON313):$$PATH" $(SAM) build
	$(SAM_VENV)/bin/python -m local.sam_template
	for layer in crypto auth; do bill=.aws-sam/bill/$$layer; \
		"$(PYTHON313)/python3.13" -m venv --clear --without-pip $$bill \
		&& "$(PYTHON313)/python3.13" -m pip --python $$bill install $(LOCKED) layers/$$layer/requirements.txt \
		&& $(SAM_VENV)/bin/cyclonedx-py environment --output-reproducible \
			--output-file .aws-sam/build/$$layer.cdx.json $$bill \
		|| exit 1; done
	@du -sh .aws-sam/build/*Layer
	@touch $@

bench: build $(VENV)/installed $(EMULATOR_VENV)/installed ## Measure starts, requests and memory beside their peers (RUNS=15)
	@PYTHONPATH=layers/crypto:layers/auth $(BIN)/python -m bench \
		--python "$(PYTHON313)/python3.13" --runs $(RUNS) $(ARGS)

profile: build $(VENV)/installed ## Take apart what a login takes, cold and warm (may need sudo on macOS)
	@PYTHONPATH=layers/crypto:layers/auth $(BIN)/python -m bench.profile "$(PYTHON313)/python3.13"

record: build $(VENV)/installed ## Accept the imports and instruction counts of what is built (needs valgrind)
	@PYTHONPATH=layers/crypto:layers/auth $(BIN)/python -m bench.budgets "$(PYTHON313)/python3.13"

test-build: build $(VENV)/installed $(EMULATOR_VENV)/installed ## Test what was built
	PATH="$(PYTHON313):$$PATH" $(BIN)/python -m pytest tests/artefacts $(ARGS)

demo-emulator: build $(VENV)/installed $(EMULATOR_VENV)/installed ## The demo through built functions under Lambda's emulator, on Linux
	@$(BIN)/python -m local.emulator

sam-local: build $(VENV)/installed ## The demo and events through sam local, in Docker containers
	@PORT=$(PORT) $(SAM_VENV)/bin/python -m local.sam_template
	@PORT=$(PORT) $(BIN)/python -m local.sam_local

invoke: build $(VENV)/installed ## One event (EVENT=login) through sam local, while `make run LISTEN=docker` runs
	@PORT=$(PORT) $(SAM_VENV)/bin/python -m local.sam_template
	@PORT=$(PORT) $(BIN)/python -m local.sam_local $(EVENT)

deploy: build ## Deploy to an environment of samconfig.toml (ENV=dev)
	@$(SAM_VENV)/bin/python -m infra.release $(ENV)
	SAM_CLI_TELEMETRY=0 $(SAM_VENV)/bin/sam deploy --config-file $(CURDIR)/samconfig.toml --config-env $(ENV) \
		--template-file .aws-sam/build/release.yaml \
		--parameter-overrides file://$(CURDIR)/.aws-sam/build/parameters.yaml $(ARGS)

lint: $(VENV)/installed ## Style, docstrings and security of the Python code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --recursive --severity-level medium --configfile pyproject.toml layers functions infra local

types: $(VENV)/installed ## Types, strictly
	$(BIN)/mypy

template: $(SAM_VENV)/installed $(CHECKOV_VENV)/installed ## Check the templates with SAM, cfn-lint and checkov
	$(SAM) validate --lint
	$(SAM_VENV)/bin/cfn-lint $(TEMPLATES) --append-rules cfn_lint_serverless.rules
	$(CHECKOV_VENV)/bin/checkov --skip-download --quiet --compact --framework cloudformation \
		--file $(TEMPLATES)

# What only looks like a secret stands in the baseline as a hash; `make baseline` adds to it.
secrets: $(VENV)/installed ## Look for secrets in what is to be committed
	@$(TRACKED) | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline

baseline: $(VENV)/installed ## Accept what `make secrets` names as examples: look at the difference
	$(TRACKED) | xargs -0 $(BIN)/detect-secrets scan --slim > .secrets.baseline

check: lint types secrets template ## Lint, types, secrets and template

format: $(VENV)/installed ## Format the Python code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/installed ## Write the generated tables into the READMEs
	PYTHONPATH=layers/crypto:layers/auth $(BIN)/python -m docs.generate.tables

lock: $(VENV)/installed ## Pin the newest versions that pyproject.toml allows
	for group in dev sam checkov; do $(LOCK) --upgrade --universal --python-version 3.11 \
		--group $$group -o requirements/$$group.txt || exit 1; done
	$(LOCK) --upgrade --python-version 3.13 --python-platform linux \
		--group emulator -o requirements/emulator.txt
	for layer in crypto auth; do $(LOCK) --python-version 3.13 --python-platform linux \
		--constraint requirements/dev.txt --group $$layer -o layers/$$layer/requirements.txt \
		|| exit 1; done
	for peer in floor fastapi_wechatpy powertools_resolver; do $(LOCK) --python-version 3.13 \
		--python-platform linux --constraint requirements/dev.txt --group $$peer \
		-o bench/peers/$$peer/requirements.txt || exit 1; done

clean: ## Remove what was installed and built
	rm -rf $(VENV) $(SAM_VENV) $(CHECKOV_VENV) $(EMULATOR_VENV) miniprogram/node_modules .aws-sam .bench .coverage .mypy_cache .pytest_cache .ruff_cache .hypothesis \
		.dynamodb-local*

$(VENV)/installed: requirements/dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Installing into $(VENV) (once, about a minute) …"
	@"$(PYTHON)" -m venv $(VENV) || { echo "This Python cannot make virtual environments: on Debian or Ubuntu, apt install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m $(INSTALL) requirements/dev.txt
	@touch $@

# npm writes this file last.
$(NODE_MODULES): miniprogram/package-lock.json
	@npm --prefix miniprogram ci --no-audit --no-fund --loglevel=error
	@touch $@

$(SAM_VENV)/installed: requirements/sam.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(SAM_VENV)
	@$(SAM_VENV)/bin/python -m $(INSTALL) requirements/sam.txt
	@touch $@

$(CHECKOV_VENV)/installed: requirements/checkov.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=/path/to/python3" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(CHECKOV_VENV)
	@$(CHECKOV_VENV)/bin/python -m $(INSTALL) requirements/checkov.txt
	@touch $@

$(EMULATOR_VENV)/installed: requirements/emulator.txt | python3.13
	@"$(PYTHON313)/python3.13" -m venv $(EMULATOR_VENV)
	@$(EMULATOR_VENV)/bin/python -m $(INSTALL) requirements/emulator.txt
	@touch $@

.PHONY: python3.13
python3.13:
	@test -n "$(PYTHON313)" || { echo "CPython 3.13, Lambda's, is needed: install it (python.org, pyenv install 3.13, brew install python@3.13), or name its folder with PYTHON313=/path/to/bin" >&2; exit 1; }
