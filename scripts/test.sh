#!/usr/bin/env bash
# Installs what is missing and passes the tests, in three stages; the first that fails is the last:
#   style, types and unit tests;
#   tests with networks, whole runs, and beside them tests with models and slow ones;
#   tests of kernel netem, on a guest kernel where this one has none.
# --all adds the tests that are marked long (two hours at most). Other arguments are passed on to
# pytest instead of the stages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

pytest=(.venv/bin/python -m pytest --durations 10)
networks='emulation or netem'
cut=' and not long'
background=
failed=0

# timed NAME COMMAND...: run it, and print how long it took.
timed() {
    local name=$1 began=$SECONDS code=0
    shift
    echo "==> $name"
    "$@" || code=$?
    echo "==> $name: $((SECONDS - began)) s, exit code $code"
    return $code
}

# beside NAME COMMAND...: the same in the background; what it says is printed when it has ended.
beside() {
    setsid bash -c '
        said=$("${@:2}" 2>&1) && code=0 || code=$?
        printf "\n==> %s\n%s\n==> %s: %d s, exit code %d\n" "$1" "$said" "$1" $SECONDS $code
        exit $code' beside "$@" &
    background=$!
}
trap '[ -z "$background" ] || kill -- "-$background" 2>/dev/null || true' EXIT

# finish: wait for what runs beside; end here if anything of this stage failed.
finish() {
    wait "$background" || failed=1
    background=
    [ $failed -eq 0 ] || exit 1
}

style() {
    .venv/bin/ruff check . && .venv/bin/ruff format --check --quiet . &&
        .venv/bin/lint-imports --no-cache --no-logo
}

timed 'set-up' scripts/setup.sh test
if [ "$*" = --all ]; then
    cut=
elif [ $# -gt 0 ]; then
    .venv/bin/testbed models fetch
    style
    .venv/bin/mypy
    exec .venv/bin/python -m pytest "$@"
fi

# One thread each: of several, each waits for the one whose processor is busy with something else.
beside types .venv/bin/mypy
timed style style || failed=1
OMP_NUM_THREADS=1 timed 'unit tests' "${pytest[@]}" -n "$(nproc)" --maxprocesses 4 \
    --dist worksteal -m "not ($networks or model or slow or long)" || failed=1
finish

# Tests with networks mostly wait; meanwhile the others take what that leaves of the processors.
timed weights .venv/bin/testbed models fetch
OMP_NUM_THREADS=1 beside 'tests with models, and slow ones' nice -n 19 \
    "${pytest[@]}" -m "(slow or (model or long) and not ($networks))$cut"
timed 'tests with networks' "${pytest[@]}" \
    -m "($networks) and not (slow or parallel)$cut" || failed=1
timed 'whole runs, two side by side' "${pytest[@]}" -n 2 -m "parallel$cut" || failed=1
finish

if .venv/bin/python -m tests.support.guest_is_wanted; then
    timed 'tests of kernel netem, on a guest kernel' \
        .venv/bin/testbed guest --timeout 900 -- .venv/bin/python -m pytest \
        -p no:cacheprovider -m "netem$cut" tests/emulation/test_kernel_netem.py
fi
