# make run   installs what the notebook needs and runs it on the embedded sample set
# make test  installs what the tests need and runs them
# make notebook  runs CNN.ipynb in place, cleans it, exports lowlight.py, keeps its figures

PYTHON ?= python3
BIN := .venv/bin
export JUPYTER_PREFER_ENV_PATH := 1

.PHONY: run test notebook export

run: .venv/.run
	mkdir -p runs/sample
	$(BIN)/papermill CNN.ipynb runs/sample/CNN.ipynb -p DATASET sample -p OUTPUT runs/sample

test: .venv/.test
	$(BIN)/python -m pytest $(PYTEST)

notebook: .venv/.test
	rm -rf runs/sample
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace CNN.ipynb
	$(MAKE) export
	mkdir -p figures
	cp runs/sample/figures/* figures/

export: .venv/.test
	$(BIN)/nbdev-clean --fname CNN.ipynb
	$(BIN)/python -c "from nbdev.export import nb_export; nb_export('CNN.ipynb', lib_path='.')"

.venv/.run: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

.venv/.test: requirements.txt requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements-dev.txt
	touch $@ .venv/.run
