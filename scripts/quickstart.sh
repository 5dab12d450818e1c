#!/usr/bin/env bash
# From a fresh machine to a measured, plotted comparison: installs what is missing, fetches the
# model, runs scripts/scenarios/quickstart.yaml. Arguments are passed on to `testbed run`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh
.venv/bin/testbed models fetch
exec .venv/bin/testbed run scripts/scenarios/quickstart.yaml "$@"
