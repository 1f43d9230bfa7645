#!/usr/bin/env bash
# The installed tree as an engineer meets it: installed under a prefix, moved, then both examples built
# against it by pkg-config (shared and static) and by CMake, the header included from C++, all of it run.
. "$(dirname "$0")/common.sh"
build=$(cd "$(dirname "$program")" && pwd)
if [ ! -f "$build/softless.pc" ]; then
    echo "skipped: sanitizer builds are not installed"
    exit 0
fi
cd "$work"
strict='-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror'
cxx=$(command -v g++ || command -v clang++) || fail "no C++ compiler: g++ and clang++ are missing"

cmake --install "$build" --prefix "$work/first" >install.log || fail "cmake --install: $(cat install.log)"
mv first prefix # nothing may remember where it was installed
prefix=$work/prefix
lib=$(dirname "$(find "$prefix" -name 'libsoftless.a')")
export PKG_CONFIG_PATH=$lib/pkgconfig
unset LD_LIBRARY_PATH

# ---- the program finds its recipes ----
mkdir elsewhere
(cd elsewhere && expect_out 'name: "fashion-mnist"' "$prefix/bin/softless" config show fashion-mnist)

# ---- manual pages and completion ----
share=$prefix/share
for file in man/man1/softless.1 man/man1/softless-train.1 man/man5/softless-recipe.5 \
    bash-completion/completions/softless zsh/site-functions/_softless fish/vendor_completions.d/softless.fish; do
    [ -s "$share/$file" ] || fail "share/$file is not installed"
    passed=$((passed + 1))
done

# ---- a model, and what the program says of an image ----
"$prefix/bin/softless" train tiny.yaml -q --set 'data.eval_ops=[resize(16)]' --run-dir run >out
images=$root/tests/golden/images
png=$(find "$images" -name '*.png' | sort | sed -n 1p)
jpeg=$(find "$images" -name '*.jpg' | sort | sed -n 1p)
"$prefix/bin/softless" predict run "$png" "$jpeg" >want

# Runs the two examples built in folder $1.
check_examples() {
    "$1/classify" run "$png" "$jpeg" >got || fail "$1/classify: exit $?"
    diff want got || fail "$1/classify and 'softless predict' disagree"
    for phi in softmax relu relu2 gelu softplus identity relu6 sigmoid; do
        expect_out "^phi $phi on " "$1/attention" $phi
    done
    expect 1 "cannot open it" "$1/classify" gone.safetensors "$png"
    expect 1 "neither a JPEG nor a PNG" "$1/classify" run tiny.yaml
    expect 1 "unknown phi" "$1/attention" tanh
}

# ---- pkg-config ----
mkdir shared static
for name in classify attention; do
    # shellcheck disable=SC2046,SC2086  # the flags are words
    cc -std=c11 $strict "$root/examples/$name.c" $(pkg-config --cflags --libs softless) -lm \
        -Wl,-rpath,"$lib" -o shared/$name || fail "$name.c with the shared library"
    # our own library statically, its dependencies as the system has them
    # shellcheck disable=SC2046,SC2086
    cc -std=c11 $strict "$root/examples/$name.c" $(pkg-config --cflags softless) \
        $(pkg-config --static --libs softless | sed 's/-lsoftless/-l:libsoftless.a/') -lm \
        -o static/$name || fail "$name.c with the static library"
done
ldd shared/classify >needs # a file: `grep -q` leaves a pipe early, and pipefail would count that
grep -q "$lib/libsoftless.so.0" needs || fail "shared/classify does not use $lib: $(cat needs)"
ldd static/classify >needs
grep -q libsoftless needs && fail "static/classify uses the shared library"
check_examples shared
check_examples static

# ---- CMake ----
mkdir project
cat >project/CMakeLists.txt <<'CMAKE'
cmake_minimum_required(VERSION 3.16)
project(consumer C)
find_package(softless 0.1 REQUIRED COMPONENTS static)
foreach(name classify attention)
    add_executable(${name} ${EXAMPLES}/${name}.c)
    target_link_libraries(${name} PRIVATE softless::softless m)
    add_executable(${name}_static ${EXAMPLES}/${name}.c)
    target_link_libraries(${name}_static PRIVATE softless::softless_static)
endforeach()
CMAKE
{ cmake -S project -B cmake-out -G Ninja -DCMAKE_PREFIX_PATH="$prefix" -DEXAMPLES="$root/examples" &&
    cmake --build cmake-out; } >cmake.log 2>&1 || fail "find_package: $(cat cmake.log)"
check_examples cmake-out
mkdir cmake-static
for name in classify attention; do
    mv cmake-out/${name}_static cmake-static/$name
done
check_examples cmake-static
sed -i 's/softless 0.1/softless 0.2/' project/CMakeLists.txt
cmake -S project -B cmake-newer -DCMAKE_PREFIX_PATH="$prefix" -DEXAMPLES="$root/examples" >cmake.log 2>&1 &&
    fail "version 0.1 passes for 0.2"
passed=$((passed + 1))

# ---- C++ ----
cat >header.cc <<'CXX'
#include <softless_study.h>
#include <cstdio>
int main()
{
    const sl_context_options options = SL_CONTEXT_OPTIONS_INIT;
    sl_context *ctx = nullptr;
    if (sl_context_open(&options, &ctx) != SL_OK) {
        std::printf("%s\n", sl_error_message());
        return 1;
    }
    std::printf("softless %s on %s\n", sl_version(), sl_context_isa(ctx));
    sl_context_close(&ctx);
    return ctx != nullptr;
}
CXX
for standard in c++11 c++17 c++20; do
    # shellcheck disable=SC2046,SC2086
    "$cxx" -std=$standard $strict header.cc $(pkg-config --cflags --libs softless) \
        -Wl,-rpath,"$lib" -o header || fail "softless.h from $standard"
    expect_out '^softless [0-9.]+ on ' ./header
done
# -pedantic C11, the header alone and first
for header in softless_explain softless_phases softless_probe softless_study; do
    echo "#include <$header.h>" >header.c
    # shellcheck disable=SC2046,SC2086
    cc -std=c11 $strict -c header.c $(pkg-config --cflags softless) || fail "$header.h alone"
done

# ---- and away again: every file, staged under DESTDIR too ----
DESTDIR=$work/stage cmake --install "$build" --prefix /usr >install.log
make -s -C "$root" uninstall BUILD="$build" DESTDIR="$work/stage" ||
    fail "make uninstall: exit $?"
[ -z "$(find stage ! -type d)" ] || fail "left by uninstall: $(find stage ! -type d)"
expect 2 'nothing was installed from' make -s -C "$root" uninstall BUILD="$build"

finish 55
