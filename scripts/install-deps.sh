#!/usr/bin/env bash
# Installs what softless needs and this machine lacks, from Debian's packages only, and says what each
# is for. Usage: scripts/install-deps.sh [build|test|demo|all]   (default: all)
set -euo pipefail

# group package purpose
packages='
build gcc                      C compiler
build cmake                    build system
build ninja-build              build tool
build pkg-config               finds libraries
build libjansson-dev           JSON: weight headers, manifests
build libyaml-dev              YAML: recipes
build libxxhash-dev            XXH3: digests of checkpoints and data
build libpng-dev               PNG images
build libjpeg62-turbo-dev      JPEG images
build zlib1g-dev               gzip: IDX data sets
build libarchive-dev           compressed tar shards
demo dataset-fashion-mnist     the images that the demo and the tests train on
demo gnuplot-nox               draws the figure
demo fonts-dejavu-core         the font in the figure
test libcmocka-dev             unit tests
test g++                       the header is included from C++
test libsimde-dev              instruction sets that the machine lacks, emulated
test dataset-fashion-mnist     a real data set for the loader and the program
test clang                     second compiler, sanitizers, fuzzers
test libclang-rt-14-dev        sanitizer and fuzzer run times
test binutils                  nm: exported symbols
test mandoc                    checks the manual pages
'

want=${1:-all}
case $want in build|test|demo|all) ;; *)
    echo "install-deps: '$want' is not build, test, demo or all" >&2; exit 64;; esac

missing=()
while read -r group package purpose; do
    [ -n "$group" ] || continue
    [ "$want" = all ] || [ "$group" = build ] || [ "$group" = "$want" ] || continue
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' && continue
    case " ${missing[*]-} " in *" $package "*) continue;; esac
    missing+=("$package")
    printf 'needs %-24s %s\n' "$package" "$purpose"
done <<<"$packages"
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "install-deps: run as root, or install by hand: ${missing[*]}" >&2; exit 69; }
    sudo=sudo
fi
echo "installing ${#missing[@]} Debian packages"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
$sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
