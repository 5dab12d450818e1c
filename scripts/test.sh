#!/usr/bin/env bash
# Installs what is missing and passes the tests: style, types, then every test this machine can
# run. Arguments are passed on to pytest instead of the default selection.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh test
.venv/bin/testbed models fetch
echo '==> style and types'
.venv/bin/ruff check .
.venv/bin/ruff format --check --quiet .
.venv/bin/mypy
echo '==> tests'
.venv/bin/python -m pytest "$@"
if [ $# -eq 0 ] && .venv/bin/python -m tests.guest_is_wanted; then
    echo '==> tests of kernel netem, on a guest kernel that has it'
    exec .venv/bin/testbed guest --timeout 900 -- \
        .venv/bin/python -m pytest -p no:cacheprovider -m netem tests/emulation/test_kernel_netem.py
fi
