# make run    the whole stack on this machine     make test   what a contributor runs before a push
# make help   the rest

PORT    ?= 3000
LISTEN  ?= 127.0.0.1
RUNS    ?= 15
VENV    ?= .venv
PYTHON  ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& command -v $$python && break; done)
# The folder of Lambda's Python, which compiles the layers; sam takes the real one, no pyenv shim.
PYTHON313 ?= $(shell for python in python3.13 \
	"$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13.*/bin/python3.13; do \
	"$$python" -c 'import sys; print(sys.base_exec_prefix + "/bin")' 2>/dev/null && break; done)

BIN       = $(VENV)/bin
# One process more than processors, since tests wait; the longest file, which comes first, is not kept for the end.
PARALLEL  = -n $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1))) --dist loadfile --no-loadscope-reorder
SAM       = AWS_DEFAULT_REGION=us-east-1 .venv-sam/bin/sam
LOCKED    = --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile --only-binary :all: -r
LOCK      = $(BIN)/uv pip compile --quiet --generate-hashes --no-header --no-annotate
LOCK_313  = $(LOCK) --python-version 3.13 --python-platform linux
SAMCONFIG = $(firstword $(wildcard samconfig.local.toml) samconfig.toml)
TRACKED   = git ls-files -z --cached --others --exclude-standard -- \
	':!requirements' ':!*/requirements.txt' ':!*/package-lock.json' ':!*.png' ':!.secrets.baseline'
TEMPLATES = template.yaml infra/egress.yaml infra/observability.yaml infra/edge.yaml
# Within what sam build clears: a build that broke off, or one without us, is made again.
BUILT     = .aws-sam/build/complete
SOURCES   = template.yaml samconfig.toml $(wildcard infra/*.yaml) \
	$(shell find layers functions -name __pycache__ -prune -o -type f -print)
NODE_MODULES = miniprogram/node_modules/.package-lock.json
NEW_NODE  = 'const [a, b] = process.versions.node.split("."); process.exit(a > 18 || a == 18 && b > 17 ? 0 : 1)'

export PYTHONPATH = layers/crypto:layers/auth
export SAM_CLI_TELEMETRY = 0
.PHONY: $(shell grep -oE '^[a-z0-9.-]+:' Makefile | tr -d :)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/installed ## Start API, DynamoDB and a simulated WeChat on this machine (PORT=3000), or with the real one (APPID=wx…)
	@PORT=$(PORT) LISTEN=$(LISTEN) ACCOUNT=$(ACCOUNT) APPID=$(APPID) exec $(BIN)/python -m local
demo: $(VENV)/installed ## Play the whole flow over HTTP and check every step
	@$(BIN)/python -m local.demo

test: $(VENV)/installed ## Unit, integration and e2e tests, and the client kit (ARGS='tests/unit -k name' runs just those)
ifdef ARGS
	$(BIN)/python -m pytest $(ARGS)
else
	$(BIN)/python -m pytest $(PARALLEL) tests/e2e tests/third_party tests/integration tests/unit $(COVERAGE)
	@$(MAKE) --no-print-directory test-miniprogram
endif
test-all: ## make test, then races, attacks, fuzz, faults, console and load (needs Java, npm, Chromium)
	@$(MAKE) --no-print-directory test test-races test-hostile test-console load SECONDS=20 COVERAGE=--cov

test-races: $(VENV)/installed ## Race for the access_token on DynamoDB Local (needs Java and npm)
	$(BIN)/python -m pytest tests/races $(ARGS)
test-hostile: $(VENV)/installed ## Attack it, fuzz it, break every call, and load it (needs Java and npm)
	$(BIN)/python -m pytest $(PARALLEL) tests/hostile/fuzz tests/hostile/faults tests/hostile/attacks tests/hostile/load $(ARGS)
test-console: $(VENV)/installed ## Press every button of the console (needs Chromium)
	$(BIN)/python -m pytest tests/console $(ARGS)
test-miniprogram: $(VENV)/installed ## Test the client kit and the demo mini-program (Node.js 18.18 or newer)
	@if npm --version >/dev/null 2>&1 && node -e $(NEW_NODE); then \
		$(MAKE) --no-print-directory $(NODE_MODULES) && PYTHON=$(BIN)/python npm --prefix miniprogram --silent test; \
	else printf '\n!! NOT TESTED: miniprogram/ needs Node.js 18.18 or newer with npm (nodejs.org), then: make test-miniprogram\n\n' >&2; \
		test "$$CI" != true; fi
test-kit-builds: $(NODE_MODULES) $(VENV)/installed ## Build the client kit in uni-app, Taro and others, by their own tools (needs npm)
	PYTHON=$(BIN)/python npm --prefix miniprogram --silent run test-builds
test-own-backend: $(VENV)/installed .venv-own-backend/installed $(NODE_MODULES) ## Walk a team's own servers (Node.js 20 or newer)
	$(BIN)/python -m pytest tests/own_backend $(ARGS)
test-build: build $(VENV)/installed .venv-emulator/installed ## Test what was built
	PATH="$(PYTHON313):$$PATH" $(BIN)/python -m pytest tests/artefacts $(ARGS)
test-deployed: build $(VENV)/installed .venv-local-aws/installed ## Deploy to an AWS on this machine, and test what is there
	$(BIN)/python -m pytest $(PARALLEL) tests/deployed $(ARGS)
crowd: $(VENV)/installed ## Watch 200 workers share one access_token, on DynamoDB Local (needs Java and npm)
	@$(BIN)/python -m tests.races
load: $(VENV)/installed ## Send visitors and faults for so many SECONDS, on DynamoDB Local (needs Java and npm)
	@SECONDS=$(or $(SECONDS),60) $(BIN)/python -m tests.hostile.load

build: python3.13 $(BUILT) ## Build what is deployed, and an SBOM of each layer (.aws-sam/build)
$(BUILT): $(SOURCES) .venv-sam/installed
	PATH="$(PYTHON313):$$PATH" $(SAM) build
	for layer in crypto auth; do bill=.aws-sam/bill/$$layer; \
		"$(PYTHON313)/python3.13" -m venv --clear --without-pip $$bill \
		&& "$(PYTHON313)/python3.13" -m pip --python $$bill install $(LOCKED) layers/$$layer/requirements.txt \
		&& .venv-sam/bin/cyclonedx-py environment --output-reproducible -o .aws-sam/build/$$layer.cdx.json $$bill \
		|| exit 1; done
	@du -sh .aws-sam/build/*Layer
	@touch $@

demo-emulator: build $(VENV)/installed .venv-emulator/installed ## Play the demo on built functions under Lambda's emulator (Linux)
	@$(BIN)/python -m local.emulator
sam-local: build $(VENV)/installed ## Play the demo and send every event through sam local, in Docker containers
	@exec $(BIN)/python -m local.sam_local
deploy-local: build $(VENV)/installed .venv-local-aws/installed ## Deploy to an AWS on this machine: no account, no Docker
	@exec $(BIN)/python -m local.deployment
deploy: build ## Deploy to an environment of samconfig.toml (ENV=dev)
	@.venv-sam/bin/python -m infra.release $(ENV)
	.venv-sam/bin/sam deploy --config-file $(CURDIR)/$(SAMCONFIG) --config-env $(ENV) --template-file .aws-sam/build/release.yaml \
		--parameter-overrides file://$(CURDIR)/.aws-sam/build/parameters.yaml $(ARGS)
app-secret: $(VENV)/installed ## Store the AppSecret of a mini-program, or the keys that a FILE names (ENV=dev APPID=wx…)
	@$(BIN)/python -m infra.app_secret $(ENV) $(APPID) "$(FILE)"
api-client: $(VENV)/installed ## Make a client of POST /introspect, or remove it (ENV=dev NAME=orders [REMOVE=1])
	@$(BIN)/python -m infra.api_client "$(ENV)" "$(NAME)" $(if $(REMOVE),--remove)
authorise: $(VENV)/installed; @$(BIN)/python -m infra.merchants "$(ENV)" "$(PAGE)" ## Print links by which a merchant authorises your platform (ENV=prod PAGE=https://…)
merchants: $(VENV)/installed; @$(BIN)/python -m infra.merchants "$(ENV)" ## List who has authorised your third-party platform (ENV=prod)
rotate-keys: $(VENV)/installed ## Rotate the keys: run it twice, it says when (ENV=dev)
	@$(BIN)/python -m infra.key_ring $(ENV) $(if $(LEAKED),--leaked)
edge: $(VENV)/installed ## Put CloudFront with a limit for each address before the API (ENV=prod ARGS=RequestsPerAddress=500)
	@$(BIN)/python -m infra.edge $(ENV) $(ARGS)

bench: build $(VENV)/installed .venv-emulator/installed ## Measure starts, requests and memory beside their peers (RUNS=15)
	@$(BIN)/python -m bench --python "$(PYTHON313)/python3.13" --runs $(RUNS) $(ARGS)
profile: build $(VENV)/installed ## Take apart what a login takes, cold and warm (may need sudo on macOS)
	@$(BIN)/python -m bench.profile "$(PYTHON313)/python3.13"
record: build $(VENV)/installed ## Accept the imports and instruction counts of what is built (needs valgrind)
	@$(BIN)/python -m bench.budgets "$(PYTHON313)/python3.13"
fault-table: $(VENV)/installed; REWRITE=1 $(BIN)/python -m pytest tests/hostile/faults/test_matrix.py ## Write what each fault comes to into docs/faults.md

check: lint types secrets template ## Lint, types, secrets and template
lint: $(VENV)/installed ## Check style, docstrings and security of the Python code
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --recursive --severity-level medium --configfile pyproject.toml layers functions infra local
types: $(VENV)/installed; $(BIN)/mypy ## Check types, strictly
template: .venv-sam/installed .venv-checkov/installed ## Check the templates with SAM, cfn-lint and checkov
	$(SAM) validate --lint
	.venv-sam/bin/cfn-lint $(TEMPLATES) --append-rules cfn_lint_serverless.rules
	.venv-checkov/bin/checkov --skip-download --quiet --compact --framework cloudformation --file $(TEMPLATES)
secrets: $(VENV)/installed ## Look for secrets in what is to be committed
	@$(TRACKED) | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline
baseline: $(VENV)/installed ## Accept what `make secrets` names as examples: look at the difference
	$(TRACKED) | xargs -0 $(BIN)/detect-secrets scan --slim > .secrets.baseline
format: $(VENV)/installed ## Format the Python code
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .
docs: $(VENV)/installed ## Write the generated tables into the documents
	$(BIN)/python -m docs.generate.tables
lock: $(VENV)/installed ## Pin the newest versions that pyproject.toml allows
	for group in dev sam checkov own-backend; do $(LOCK) --upgrade --universal --python-version 3.11 \
		--group $$group -o requirements/$$group.txt || exit 1; done
	for group in emulator local-aws; do $(LOCK_313) --upgrade --group $$group -o requirements/$$group.txt || exit 1; done
	for folder in layers/crypto layers/auth bench/peers/floor bench/peers/fastapi_wechatpy bench/peers/powertools_resolver; do \
		$(LOCK_313) --constraint requirements/dev.txt --group $$(basename $$folder) -o $$folder/requirements.txt || exit 1; done
clean: ## Remove what was installed and built
	rm -rf .venv* miniprogram/node_modules miniprogram/builds/*/node_modules tests/own_backend/*/node_modules .aws-sam .bench .coverage .hypothesis .*_cache .dynamodb-local*

define install
@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=/path/to/python3" >&2; exit 1; }
@echo "Installing $< into $(@D) (once, about a minute) …"
@"$(PYTHON)" -m venv $(@D) || { echo "This Python cannot make virtual environments: on Debian or Ubuntu, apt install python3-venv" >&2; exit 1; }
@$(@D)/bin/python -m pip install $(LOCKED) $<
@touch $@
endef

$(VENV)/installed: requirements/dev.txt
	$(install)
.venv-%/installed: requirements/%.txt
	$(install)
.venv-emulator/installed .venv-local-aws/installed: override PYTHON = $(PYTHON313)/python3.13
.venv-emulator/installed .venv-local-aws/installed: | python3.13
python3.13:
	@test -n "$(PYTHON313)" || { echo "CPython 3.13, Lambda's, is needed: install it (python.org, pyenv install 3.13, brew install python@3.13), or name its folder with PYTHON313=/path/to/bin" >&2; exit 1; }

# npm writes this file last.
$(NODE_MODULES): miniprogram/package-lock.json
	@npm --prefix miniprogram ci --no-audit --no-fund --loglevel=error
	@touch $@
