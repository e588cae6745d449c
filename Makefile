# Thin names over Meson and the scripts; `make demo` and `make test` install what they miss.
BUILD ?= build
PACKAGES = build-essential meson ninja-build pkg-config python3 python3-venv libdnnl-dev libgomp1 \
           libcmocka-dev libjansson-dev libutf8proc-dev libcurl4-gnutls-dev libgnutls28-dev zlib1g-dev

.PHONY: all deps demo test test-live fuzz install clean layers format

all: deps
	@[ -f $(BUILD)/build.ninja ] || meson setup $(BUILD) --buildtype=release
	ninja -C $(BUILD)

# Debian's packages, asked for only where one is missing.
deps:
	@tools/install_packages $(PACKAGES)

demo: all
	tools/demo

test: all
	tests/run.py --build $(BUILD)

install: all
	meson install -C $(BUILD)

layers:
	tools/check_layers.py

clean:
	rm -rf $(BUILD) build-asan build-clang build-fuzz
