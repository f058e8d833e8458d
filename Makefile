# make play   installs what is needed and plays a phrase
# make check  lint, types, and the tests that start no server: in a minute or two
# make test   installs what the tests need and runs them all
# make deken  packs the patches for Pd's package manager, into dist/
# make gpu    tests, measures and trains on a GPU in GPU_MINUTES, with the PyTorch that is there
# make gpu-pack  makes a folder with all that this needs where there is no network

PYTHON ?= python3
VENV ?= .venv
# e.g. PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu" for torch without CUDA
PIP_FLAGS ?=
BIN = $(VENV)/bin
VENV_PACKAGE := $(shell $(PYTHON) -c "import ensurepip, venv" 2>/dev/null || echo python3-venv)
PLAY_PACKAGES = $(VENV_PACKAGE) libportaudio2
TEST_PACKAGES = $(PLAY_PACKAGES) puredata-core puredata-extra liblo-tools jackd2 fluidr3mono-gm-soundfont whysynth chromium

VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' gansynth_server/version.py)

# Tests that count no block of sound share two workers, a thread of PyTorch each; those that do run
# after them, one by one, so that nothing but themselves makes them late.
PYTEST = $(BIN)/python -m pytest
SHARED = -n 2 --dist loadscope tests -m "not realtime and not real_time"
ALONE = tests/system tests/realtime tests/support -m "realtime or real_time"

# a soundfont, or a folder that gansynth dataset made
GPU_DATA ?= $(firstword $(wildcard data/*.sf3 data/*.sf2 /usr/share/sounds/sf3/FluidR3Mono_GM.sf3) data)
GPU_WHEELS ?= wheels
GPU_OUT ?= out/gpu
GPU_WORK ?= work/gpu
GPU_MINUTES ?= 8
# e.g. GPU_FLAGS="--rehearsal --torch-device cpu"
GPU_FLAGS ?=
GPU_PACK ?= dist/gpu

.PHONY: play check test lint deken gpu gpu-pack debian-play debian-test

play: debian-play $(VENV)/.installed
	$(BIN)/gansynth play

check: lint
	$(PYTEST) $(SHARED) --ignore tests/system --ignore tests/realtime --ignore tests/training

test: debian-test lint
	@failed=""; \
	$(PYTEST) $(SHARED) || failed="$$failed those that share workers;"; \
	$(PYTEST) $(ALONE) || failed="$$failed those in real time;"; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# patches need no machine's name in the archive's
deken:
	rm -rf dist/gansynth
	mkdir -p dist/gansynth
	cp patches/*.pd patches/README.md LICENSE dist/gansynth
	cd dist && $(PYTHON) -m zipfile -c "gansynth[v$(VERSION)].dek" gansynth
	rm -r dist/gansynth

# not in .venv, whose PyTorch would be another; wheels, if there are any, go beside it
gpu:
	rm -rf $(GPU_WORK)/site && mkdir -p $(GPU_WORK)/site
	if ls $(GPU_WHEELS)/*.whl >/dev/null 2>&1; then $(PYTHON) -m pip install --quiet --no-index --no-deps \
	  --no-compile --target $(GPU_WORK)/site $(GPU_WHEELS)/*.whl; fi
	PYTHONPATH=$(CURDIR):$(abspath $(GPU_WORK)/site) $(PYTHON) -m gansynth_server.cli gpu --data $(GPU_DATA) \
	  --out $(GPU_OUT) --work $(GPU_WORK) --minutes $(GPU_MINUTES) $(GPU_FLAGS)

gpu-pack: $(VENV)/.installed
	$(BIN)/gansynth gpu --data $(GPU_DATA) --pack $(GPU_PACK)

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) --constraint constraints.txt --editable ".[openvino]"
	touch $@

# tinysoundfont would bring PyAudio, which has no wheels and is not needed to render
$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet $(PIP_FLAGS) --constraint constraints.txt --group dev --editable ".[train,openvino,discovery,midi,metrics,page]"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps tinysoundfont
	touch $@

# Debian packages are installed where that can be done, and named where it cannot.
define debian
	@missing=""; for p in $(1); do \
	  dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q "ok installed" || missing="$$missing $$p"; \
	done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	  else echo "not installed (apt install$$missing): some parts will be missing" >&2; fi; \
	fi
endef

debian-play:
	$(call debian,$(PLAY_PACKAGES))

debian-test:
	$(call debian,$(TEST_PACKAGES))
