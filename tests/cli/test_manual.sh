#!/usr/bin/env bash
# Manual pages and completion scripts: complete, well-formed, and what a shell makes of them.
. "$(dirname "$0")/common.sh"
cd "$work"
softless() { "$program" "$@"; }

verbs=$(softless --help | sed -n '/^  softless/d; s/^  \([a-z]*\)  *[a-z].*/\1/p')
[ "$(wc -w <<<"$verbs")" -ge 13 ] || fail "verbs in --help: $verbs"

# ---- pages ----
"$program" help --man man || fail "help --man"
pages=(man/softless.1 man/softless-recipe.5)
for verb in $verbs; do
    pages+=("man/softless-$verb.1")
    helps=$(softless "$verb" --help)
    [ "$verb" != bench ] || helps=$(softless bench attention --help && softless bench train --help)
    for option in $(sed -n '/^Options:/,$s/^  .. *\(--[a-z0-9-]*\).*/\1/p' <<<"$helps"); do
        grep -qF -- "\\fB${option//-/\\-}\\fR" "man/softless-$verb.1" || fail "$option is not in softless-$verb(1)"
        passed=$((passed + 1))
    done
done
[ "$(ls man | wc -l)" = "${#pages[@]}" ] || fail "pages: $(ls man)"
for key in $(softless config keys | sed -n 's/^\([a-z][a-z0-9_.]*\) (.*/\1/p'); do
    grep -qxF ".B \"$key\"" man/softless-recipe.5 || fail "$key is not in softless-recipe(5)"
    passed=$((passed + 1))
done
for code in 0 1 64 65 66 69 70 71 73 74 75 76 78; do
    grep -qxF ".B \"$code\"" man/softless.1 || fail "exit code $code is not in softless(1)"
done
if command -v mandoc >/dev/null; then
    mandoc -T lint -W warning "${pages[@]}" >lint || true
    grep -v 'missing date' lint && fail "mandoc warns" # what tables say has no date of its own
    passed=$((passed + 1))
else
    echo "skipped: mandoc is not installed"
fi
expect 73 "tiny.yaml" "$program" help --man tiny.yaml/man
expect 64 "bash, zsh and fish" "$program" help --completion tcsh
expect 64 "usage: softless help" "$program" help --man

# ---- bash ----
softless help --completion bash >softless.bash
. ./softless.bash
# completes WANTED WORD...: the last word, as bash hands it over, becomes just these.
completes() {
    local want=$1
    shift
    COMP_WORDS=(softless "$@") COMP_CWORD=$# COMPREPLY=()
    _softless || true # compopt works inside a completion only
    [ "${COMPREPLY[*]}" = "$want" ] || fail "completion of '$*': ${COMPREPLY[*]}"
    passed=$((passed + 1))
}
cd "$root" # whose recipes have names
completes train tr
completes "--help" --he
completes --run-dir train tiny.yaml --run
completes "text json" train tiny.yaml --format ""
completes "text json csv" predict run --format ""
completes "info index pack" data ""
completes "model.alpha=" train x --set model.al
completes "paper/fig2-l196 paper/fig2-l49 paper/fig2-l784" sweep paper/fig2
completes "" eval ""
cd "$work"

# ---- the others, as far as they are here ----
for shell in zsh fish; do
    softless help --completion $shell >softless.$shell
    grep -q -- 'run-dir' softless.$shell || fail "the script for $shell lacks --run-dir"
    if command -v $shell >/dev/null; then
        $shell -n softless.$shell || fail "syntax of the script for $shell"
    else
        echo "skipped: $shell is not installed"
    fi
    passed=$((passed + 1))
done

finish 190
