# Each target works alone on a fresh clone: it makes .venv and installs the pinned versions once. Runs and studies need
# the package alone.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
LAB_STAMP := .venv/.installed-lab
DEV_STAMP := .venv/.installed-dev
TEST_PACKAGES := .venv/test-packages
TEST_STAMP := $(TEST_PACKAGES)/.installed

# Bytecode is written whatever the environment says: each kernel and each process of a test would compile its modules anew.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo study test pytest docs lab lint bench fuzz

demo: $(STAMP)  ## two rounds of the loop on the playground; ends with the report's path
	$(BIN)/dataengine run params/demo.yaml

study: $(STAMP)  ## five arms, eight seeds on the playground: does asking for weaknesses help? 90 minutes at most on two idle cores
	$(BIN)/dataengine study params/study.yaml

# Side by side: one installation, mypy, or tests that wait for a server or a kernel would leave one of two cores idle.
test:  ## everything on two cores
	$(MAKE) -j 2 lint pytest

# Three workers on two cores, as tests of processes, kernels and pages wait for these. What all of them import is compiled
# before, once. Variables of make would reach the make that tests call.
pytest: $(DEV_STAMP) $(TEST_STAMP)
	$(BIN)/python -W ignore -c "import datasets, matplotlib.pyplot, peft, scipy.stats, transformers.models.llava.modeling_llava"
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# JupyterLab sees the whole project and begins with a page that leads to notebooks, reports and params. .jupyter has its
# settings, such as showing pages as pages; a user's own come first. A container's only user is often root.
lab: $(LAB_STAMP)  ## the notebooks in JupyterLab
	JUPYTER_CONFIG_PATH="$(CURDIR)/.jupyter$${JUPYTER_CONFIG_PATH:+:$$JUPYTER_CONFIG_PATH}" \
		$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) \
		--ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/start.md

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)  ## the pages that are made from docstrings, types and data_demo
	$(BIN)/python docs/api_page.py
	$(BIN)/python docs/format_pages.py

bench: $(DEV_STAMP)  ## every promise of speed and memory as ratios, the whole demo with its time split, and why the thin types are weak; how often step 6 errs
	$(BIN)/python tests/benchmarks/table/run_all.py

fuzz: $(DEV_STAMP)  ## changed files of every input format: no traceback, no silent loss
	OMP_NUM_THREADS=1 $(BIN)/python -W ignore tests/benchmarks/fuzz_inputs.py

# A stamp is written last, so that an interrupted installation is continued. An extra's stamp holds for the package too.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(call install,.)
	touch $@

$(LAB_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(call install,.[lab])
	touch $(STAMP) $@

$(DEV_STAMP): pyproject.toml constraints.txt | $(BIN)/python
	$(call install,.[dev$(comma)lab$(comma)ray])
	touch $(STAMP) $(LAB_STAMP) $@

comma := ,
# pip would compile every module of every package, 390 MB; Python compiles those that are used when it first imports them.
define install
	$(BIN)/python -m pip install --no-compile -c constraints.txt -e "$(1)"
endef

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; run: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv

# OpenAI's clip and FAISS for the tests, in a folder of their own; the reason is in tests/packages.txt.
$(TEST_STAMP): tests/packages.txt | $(BIN)/python
	rm -rf $(TEST_PACKAGES)
	$(BIN)/python -m pip install --no-compile --no-deps --target $(TEST_PACKAGES) -r tests/packages.txt
	touch $@
