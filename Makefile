# One word each: set up, serve, test, lint, docs, bench. Needs Python 3.11 or later, a C++20 compiler
# and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup serve test quick image wheel-test lint format docs bench sanitize

setup: $(VENV)/.installed

CXX_FILES := $(wildcard vocoder/native/csrc/*.?pp tests/native/*.?pp)
NATIVE := CMakeLists.txt $(wildcard vocoder/native/csrc/*)

$(VENV)/.installed: pyproject.toml constraints.txt $(NATIVE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; name one with make PYTHON=...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "no virtual environment: on Debian, apt install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	@touch $@

serve: setup
	$(BIN)/vocoder serve

# Two processes: idle threads of OpenMP must not take the processor from the other. A process that
# keeps crashing is not restarted forever.
PYTEST := OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart 2

test: setup
	$(PYTEST) --durations 15 -m "not image and not wheel"

# Tests that take less than two minutes together on two slow cores: no training, no engine's sample
# loop, no server on a socket.
QUICK := text audio features wavenet acoustic test_imports.py test_machine.py \
  corpus/test_manifest.py corpus/test_processing.py corpus/test_readers.py corpus/test_splits.py \
  scheduling/test_priority.py voices/test_registry.py deploy/test_files.py \
  server/http server/middleware server/service/test_admission.py server/test_server_settings.py
quick: setup
	$(PYTEST) $(addprefix tests/,$(QUICK))

# Builds the container image with buildah and runs it without a network; `docker build .` works too.
image: setup
	$(BIN)/python -m pytest -m image -s -rs

# The wheel: built from the sdist, installed into a fresh environment, and used without a network.
wheel-test: setup
	$(BIN)/python -m pytest -m wheel -s -rs tests/test_wheel.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CXX_FILES)

format: setup
	$(BIN)/clang-format -i $(CXX_FILES)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The documentation, strictly: a dead link is an error. Nothing is loaded from the network.
docs: setup
	$(BIN)/python tools/documentation/pages.py build/docs
	$(BIN)/zensical build --clean --strict
	$(BIN)/python tools/documentation/links.py build/site

bench: setup
	$(BIN)/vocoder bench --page docs/benchmarks.md

# The native engine's tests under the address and undefined-behaviour sanitizers.
SANITIZED := build/sanitized
sanitize: setup
	$(BIN)/python -m pip install --quiet nanobind cmake ninja
	$(BIN)/cmake -S . -B $(SANITIZED) -G Ninja -DVOCODER_SANITIZE=ON -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python
	$(BIN)/cmake --build $(SANITIZED)
	LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 VOCODER_TEST_NATIVE=$$(ls $(CURDIR)/$(SANITIZED)/_native*.so) \
	$(BIN)/python -m pytest tests/generation/test_cpu.py tests/native \
	  tests/generation/test_contract.py tests/synthesis/test_spectral_correction.py \
	  tests/generation/test_noise.py tests/wavenet \
	  tests/acoustic/test_packed.py -k 'not (reference or tiny or small or standard or large or hold or emphasis or memory)'
