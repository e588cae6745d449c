# Thin names over Meson and the scripts; every target installs what it misses.
BUILD ?= build
SECONDS ?= 60
PACKAGES = build-essential meson ninja-build pkg-config python3 python3-venv libdnnl-dev libgomp1 \
           libcmocka-dev libjansson-dev libcurl4-gnutls-dev libgnutls28-dev zlib1g-dev \
           libarchive-dev libsqlite3-dev libmicrohttpd-dev libsodium-dev libexpat1-dev
CLANG = clang libclang-rt-14-dev

.PHONY: all deps demo test test-long test-races test-live test-aarch64 test-avx512 bench bench-peers fuzz lint format layers tsan check-clang install clean

all: deps
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD) --buildtype=release
	ninja -C $(BUILD)

# Debian's packages, asked for only where one is missing. Node.js may come from elsewhere.
deps:
	@tools/install_packages $(PACKAGES)
	@command -v node >/dev/null && command -v npm >/dev/null || tools/install_packages nodejs npm

demo: all
	tools/demo

# Every test; the last line is the count. tests/run.py --help: parts of it.
test: all
	@[ -x /usr/bin/chromium ] || tools/install_packages chromium
	@command -v valgrind >/dev/null || tools/install_packages valgrind
	@tests/run.py --build $(BUILD)

# The server killed 200 times instead of 20, and 100 power cuts.
test-long: all
	@HONE_LONG=1 tests/run.py server --match crash --build $(BUILD)

# Endpoints, pipelines and the loop against a server built with the thread sanitizer; tens of minutes.
test-races: all
	@HONE_LONG=1 tests/run.py races --build $(BUILD)

# Against torch and transformers themselves, in a virtual environment of their own (some GB), or
# in the Python that HONE_LIVE_PYTHON names.
test-live: all
	@tests/live/run.py

# Paired timings against the commit before, or REF=COMMIT; on a machine with nothing else to do.
bench: all
	@bench/regress.py

# hone beside PyTorch, ONNX Runtime, OpenVINO and CTranslate2: the figures of bench/SPEED.md and the
# README's chart. Some GB, and hours; ROWS='infer/minilm/lat' measures a part.
bench-peers: all
	@bench/run_peers.py $(if $(ROWS),--rows '$(ROWS)')

# The engine for aarch64: cross-compiled, its goldens under qemu. Afterwards `make test` does it, too.
test-aarch64: deps
	@tools/install_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
	@tools/aarch64_sysroot
	@tests/run.py aarch64

# The kernels for AVX-512, VNNI and BF16 on an emulated processor, whatever this one has.
test-avx512: all
	@tests/emulate/run.py --build $(BUILD)

# Each fuzzer for SECONDS, from its corpus; what crashes is kept in build-fuzz/.
fuzz: deps
	@tools/install_packages $(CLANG)
	@tests/fuzz/run.py $(SECONDS)

# The other compiler, and threads under the thread sanitizer.
check-clang: deps
	@tools/install_packages $(CLANG)
	@tests/run.py --tree build-clang

tsan: deps
	@tests/run.py --tree build-tsan --match '^test_(pool|err|server|batcher|fleet)$$'
	@tests/run.py races

# .clang-tidy at zero findings.
lint: deps
	@tools/install_packages $(CLANG) clang-tidy
	@tools/lint

# clang-format 14, Debian 12's: others format differently.
format:
	@tools/install_packages clang-format-14
	clang-format-14 -i $$(find src tests -name '*.[ch]')

layers:
	tools/check_layers.py

install: all
	meson install -C $(BUILD)

clean:
	rm -rf $(BUILD) build-aarch64 build-aarch64-root build-asan build-bench-ref build-clang build-emulate build-fuzz build-lint build-tsan ui/dist ui/node_modules
