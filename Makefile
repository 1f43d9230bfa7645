# The front door: everything here only calls CMake and scripts/.
BUILD := build

.PHONY: all demo test bench check check-style install uninstall clean
all: $(BUILD)/build.ninja
	cmake --build $(BUILD)

$(BUILD)/build.ninja: scripts/install-deps.sh
	scripts/install-deps.sh build
	cmake -S . -B $(BUILD) -G Ninja -DSOFTLESS_TESTS=OFF

demo: ## train softmax and ReLU/L on Fashion-MNIST, print a table, draw a figure
	scripts/install-deps.sh demo
	$(MAKE) --no-print-directory all
	scripts/demo $(BUILD)/softless

test: ## the whole suite
	scripts/install-deps.sh test
	scripts/run-tests

bench: all ## speed on this machine
	scripts/bench $(BUILD)/softless

check: ## layers, symbols, style
	scripts/check

check-style:
	scripts/check style

install: all ## into PREFIX, /usr/local by default; DESTDIR as ever
	cmake --install $(BUILD) $(if $(PREFIX),--prefix $(PREFIX))

uninstall: ## the files that the last install put there; the same DESTDIR
	@test -s $(BUILD)/install_manifest.txt || { echo "uninstall: nothing was installed from $(BUILD)" >&2; exit 66; }
	sed 's|^|$(DESTDIR)|' $(BUILD)/install_manifest.txt | xargs -d '\n' rm -f --
	@rm $(BUILD)/install_manifest.txt

clean:
	rm -rf $(BUILD) $(BUILD)-test $(BUILD)-sanitize $(BUILD)-thread
