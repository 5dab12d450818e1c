#!/usr/bin/env bash
# Installs what is missing and passes the tests: style, types, then every test this machine can
# run. Arguments are passed on to pytest instead of the default selection.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh test
.venv/bin/testbed models fetch
echo '==> style'
.venv/bin/ruff check .
.venv/bin/ruff format --check --quiet .
.venv/bin/lint-imports --no-cache --no-logo
if [ $# -gt 0 ]; then
    .venv/bin/mypy
    exec .venv/bin/python -m pytest "$@"
fi
# Tests with networks mostly wait; meanwhile the rest takes what that leaves of the processors, with
# one thread: of several, each waits for the one whose processor is busy with something else.
real='emulation or netem or model'
beside=$(mktemp -d)
nice -n 19 .venv/bin/mypy >"$beside/types" 2>&1 &
types=$!
OMP_NUM_THREADS=1 nice -n 19 .venv/bin/python -m pytest -m "not ($real)" >"$beside/others" 2>&1 &
others=$!
trap 'kill $types $others 2>/dev/null || true; rm -rf "$beside"' EXIT
failed=0
echo '==> tests with networks and models'
.venv/bin/python -m pytest -m "$real" || failed=1
echo '==> types, and all other tests, which ran beside them'
wait $types || failed=1
cat "$beside/types"
wait $others || failed=1
cat "$beside/others"
[ $failed -eq 0 ]
if .venv/bin/python -m tests.support.guest_is_wanted; then
    echo '==> tests of kernel netem, on a guest kernel that has it'
    .venv/bin/testbed guest --timeout 900 -- \
        .venv/bin/python -m pytest -p no:cacheprovider -m netem tests/emulation/test_kernel_netem.py
fi
