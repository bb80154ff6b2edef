# make run       installs what the notebook needs and runs it on the embedded sample set
# make check     runs the tests of the notebook's helper cells, with little installed
# make test      installs what all tests need and runs them
# make package   tries `pip install .` alone in an empty environment, on one photo
# make notebook  runs CNN.ipynb in place, cleans it, exports its module, keeps its figures

PYTHON ?= python3
BIN := .venv/bin
export JUPYTER_PREFER_ENV_PATH := 1

.PHONY: run check test package notebook export

run: .venv/.run
	mkdir -p runs/sample
	@bash -o pipefail -c '$(BIN)/papermill CNN.ipynb runs/sample/CNN.ipynb \
	    -p DATASET sample -p OUTPUT runs/sample --log-output --no-progress-bar 2>&1 | \
	    grep --line-buffered -v "^Executing\|^Ending\|^<IPython\|^$$\|^..$$\|IPKernelApp"'
	@cat runs/sample/table.md
	@ls -d runs/sample/* runs/sample/figures/*

check: .venv/.run
	$(BIN)/pip install --quiet pytest
	$(BIN)/python -m pytest tests/notebook

test: .venv/.test
	$(BIN)/python -m pytest tests/slow tests/notebook tests/tool -n 2 --dist loadfile \
	    --no-loadscope-reorder $(PYTEST)

package:
	rm -rf .install build
	$(PYTHON) -m venv .install
	.install/bin/pip install --quiet .
	.install/bin/python -c "from PIL import Image; \
	    Image.linear_gradient('L').point(lambda level: level // 6).save('.install/dark.jpg')"
	.install/bin/lowlight .install/dark.jpg --overwrite
	test -s .install/dark-bright.jpg
	! .install/bin/python -c "import tensorflow" 2>/dev/null
	du -sm .install | cut -f 1 | xargs printf '%s MB installed\n'
	rm -rf .install

notebook: .venv/.test
	rm -rf runs/sample
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace CNN.ipynb
	mkdir -p figures
	cp runs/sample/figures/* figures/
	$(BIN)/python figures/title.py
	$(MAKE) export

export: .venv/.test
	$(BIN)/nbdev-clean --fname CNN.ipynb
	$(BIN)/python -c "from nbdev.export import nb_export; nb_export('CNN.ipynb', lib_path='lowlight')"

.venv/.run: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

.venv/.test: requirements.txt requirements-dev.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -r requirements-dev.txt
	touch $@ .venv/.run
