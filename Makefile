# Two commands for a newcomer: `make run` and `make test`. Everything else is below them.
PY := .venv/bin/python
export PYTHONPATH := $(CURDIR)/layers/shared/python:$(CURDIR)
LOCK := layers/dependencies/requirements-dev.txt
COMPILE = .venv/bin/uv pip compile --quiet --python-version 3.11 --universal --generate-hashes \
	--no-emit-index-url --no-header --no-annotate

.PHONY: lock
lock: ## Resolve the dependencies of pyproject.toml anew; the runtime's lock takes its versions from the dev lock
	$(COMPILE) $(UPGRADE) pyproject.toml --group dev -o $(LOCK)
	$(COMPILE) pyproject.toml -c $(LOCK) -o layers/dependencies/requirements.txt
