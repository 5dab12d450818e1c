#!/usr/bin/env bash
# Installs what the testbed needs: Debian or Ubuntu packages, and Python packages into .venv.
# Does only what is missing. Usage: scripts/setup.sh [EXTRA], where EXTRA is an extra of setup.cfg.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extra=${1:-}

say() { printf '==> %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "'$*' needs root, and there is no sudo here; run it as root once, then this again"
    fi
}

# Interpreter: the first Python 3.10 or newer.
find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
}

installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

has_netem() {
    local user=()
    [ "$(id -u)" -eq 0 ] || user=(--user --map-root-user)
    unshare "${user[@]}" --net tc qdisc add dev lo root netem delay 1ms 2>/dev/null
}

install_packages() {
    local package missing=()
    for package in "$@"; do
        installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    say "installing system packages: ${missing[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
        --no-install-recommends "${missing[@]}" >/dev/null
}

# mininet brings mnexec; its recommended packages (Open vSwitch) are not needed.
packages=(mininet iproute2 ethtool iputils-ping net-tools tcpdump util-linux procps)
python=$(find_python)
if [ -z "$python" ]; then
    packages+=(python3 python3-venv)
elif [ ! -x .venv/bin/python ] && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    packages+=("$(basename "$("$python" -c 'import sys; print(f"python3.{sys.version_info[1]}")')")-venv")
fi

if command -v apt-get >/dev/null; then
    install_packages "${packages[@]}"
    # Where this kernel has no netem, a guest kernel has; without it the relay does what it can.
    if [ "$(uname -m)" = x86_64 ] && ! has_netem; then
        apt-cache show user-mode-linux >/dev/null 2>&1 || as_root apt-get update -qq
        if apt-cache show user-mode-linux >/dev/null 2>&1; then
            guest=(user-mode-linux kmod)
            # Registers that it does not know, see testbed/emulation/guest_xstate.c.
            ! grep -q amx_tile /proc/cpuinfo || guest+=(gcc libc6-dev)
            install_packages "${guest[@]}"
        else
            say "no package user-mode-linux here, so no netem: links are made by the relay"
        fi
    fi
    # The tests open reports in a browser, and are skipped where apt has none.
    if [ "$extra" = test ] && ! command -v chromium >/dev/null; then
        apt-cache show chromium >/dev/null 2>&1 || as_root apt-get update -qq
        ! apt-cache show chromium >/dev/null 2>&1 || install_packages chromium
    fi
else
    for program in mnexec ip tc ethtool ping ifconfig tcpdump unshare; do
        command -v "$program" >/dev/null ||
            die "'$program' is missing, and there is no apt-get here to install it with"
    done
fi

python=$(find_python)
[ -n "$python" ] || die "Python 3.10 or newer is needed, and apt has none"
if ! .venv/bin/python -c '' 2>/dev/null; then
    say "making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
fi

# What is installed follows from these files; the stamp says for which of them it was done.
want=$(cat setup.cfg constraints.txt pyproject.toml | sha256sum | cut -d' ' -f1)
stamp=.venv/installed${extra:+-$extra}
if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    say "installing Python packages into .venv (a few minutes the first time)"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --constraint constraints.txt --editable ".${extra:+[$extra]}"
    echo "$want" >"$stamp"
fi
say "ready: $(.venv/bin/python --version), torch $(.venv/bin/python -c \
    'from importlib.metadata import version; print(version("torch"))')"
