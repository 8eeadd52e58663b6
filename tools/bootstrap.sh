#!/usr/bin/env bash
# Make the environment of this checkout: .venv with the locked packages and our own, and the servers that the local
# stack starts. Does nothing, at once, when nothing changed. Every make target that needs the environment calls it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
stamp=$venv/.alta-bootstrap
services=(libs/common services/*/)

say() { printf '%s\n' "$*"; }
fail() {
    printf '\nbootstrap: %s\n' "$*" >&2
    exit 1
}
is_root() { [ "$(id -u)" = 0 ]; }

# --- Debian packages -------------------------------------------------------------------------------------------------

# Packages must not start the system's own servers: ours are private to the checkout.
policy=/usr/sbin/policy-rc.d
policy_is_ours=
remove_policy() {
    if [ -n "$policy_is_ours" ]; then rm -f "$policy"; fi
}
trap remove_policy EXIT

apt_install() {
    if ! command -v apt-get >/dev/null; then
        fail "these are missing and there is no apt-get: $*. Install them the way your system does it, then run this again."
    fi
    if ! is_root; then
        fail "these packages are missing: $*
Run this once, then start again:

    sudo apt-get update && sudo apt-get install --yes $*
"
    fi
    say "Installing with apt: $*"
    if [ ! -e "$policy" ]; then
        policy_is_ours=yes
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    local log
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    if ! { apt-get update && apt-get install --yes --no-install-recommends "$@"; } >"$log" 2>&1; then
        tail -n 25 "$log" >&2
        fail "apt-get could not install $* (all of its output: $log)"
    fi
    rm -f "$log"
    remove_policy
    policy_is_ours=
}

has() {
    local path
    for path in "$@"; do
        if [ -x "$path" ] || command -v "$path" >/dev/null; then return 0; fi
    done
    return 1
}

install_servers() {
    local missing=()
    # Servers that the settings point at need not be here.
    [ -n "${POSTGRES_HOST:-}" ] || has /usr/lib/postgresql/*/bin/initdb initdb || missing+=(postgresql)
    [ -n "${REDIS_URL:-}" ] || has redis-server /usr/bin/redis-server || missing+=(redis-server)
    [ -n "${RABBITMQ_URL:-}" ] || has rabbitmq-server /usr/sbin/rabbitmq-server || missing+=(rabbitmq-server)
    if [ ${#missing[@]} -gt 0 ]; then apt_install "${missing[@]}"; fi
}

# --- Python ----------------------------------------------------------------------------------------------------------

find_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 /usr/bin/python3.11 python3.12 python3.13 python3 /usr/bin/python3; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

make_venv() {
    local python
    if ! python=$(find_python); then
        apt_install python3 python3-venv
        python=$(find_python) || fail "no Python 3.11 or newer was found. Name one: PYTHON=/path/to/python3.12 make …"
    fi
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        apt_install "$("$python" -c 'import sys; print(f"python{sys.version_info[0]}.{sys.version_info[1]}-venv")')"
    fi
    say "Making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
}

# uv does not read pip's settings; the machine's package index, certificates and folders of wheels are in them.
pip_setting() {
    local name=$1 variable
    variable=PIP_$(printf %s "$name" | tr 'a-z-' 'A-Z_')
    if [ -n "${!variable:-}" ]; then
        printf %s "${!variable}"
        return
    fi
    "$venv/bin/python" -m pip config get "install.$name" 2>/dev/null ||
        "$venv/bin/python" -m pip config get "global.$name" 2>/dev/null || true
}

give_pip_settings_to_uv() {
    local index extra links folder cert timeout hosts
    index=$(pip_setting index-url)
    extra=$(pip_setting extra-index-url)
    cert=$(pip_setting cert)
    timeout=$(pip_setting timeout)
    hosts=$(pip_setting trusted-host)
    if [ -n "$index" ]; then export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"; fi
    if [ -n "$extra" ]; then
        export UV_INDEX="${UV_INDEX:-$(printf %s "$extra" | tr -s '[:space:]' ' ')}"
        # What pip does; every package is checked against its locked hash anyway.
        export UV_INDEX_STRATEGY="${UV_INDEX_STRATEGY:-unsafe-best-match}"
    fi
    if [ -n "$cert" ]; then export SSL_CERT_FILE="${SSL_CERT_FILE:-$cert}"; fi
    if [ -n "$timeout" ]; then export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-$timeout}"; fi
    if [ -n "$hosts" ]; then export UV_INSECURE_HOST="${UV_INSECURE_HOST:-$(printf %s "$hosts" | tr -s '[:space:]' ' ')}"; fi
    links=
    for folder in $(pip_setting find-links); do
        # pip takes folders that are not there, uv does not.
        case $folder in *://*) ;; *) [ -d "$folder" ] || continue ;; esac
        links=${links:+$links,}$folder
    done
    if [ -n "$links" ]; then export UV_FIND_LINKS="${UV_FIND_LINKS:-$links}"; fi
}

install_packages() {
    local editables=() folder
    for folder in "${services[@]}"; do editables+=(-e "./${folder%/}"); done
    local pip=("$venv/bin/python" -m pip --disable-pip-version-check)
    # As it is before uv changes anything; a uv that cannot run here leaves the work to pip.
    if "${pip[@]}" install --quiet --require-hashes -r requirements/uv.txt && "$venv/bin/uv" --version >/dev/null; then
        give_pip_settings_to_uv
        local uv=("$venv/bin/uv" pip) quiet=()
        [ -t 2 ] || quiet=(--quiet)
        export UV_LINK_MODE="${UV_LINK_MODE:-copy}"
        if "${uv[@]}" sync "${quiet[@]}" --python "$venv/bin/python" --require-hashes requirements/dev.txt; then
            "${uv[@]}" install "${quiet[@]}" --python "$venv/bin/python" --no-deps --no-build-isolation "${editables[@]}"
            return
        fi
        say "uv could not install the packages; pip tries it."
    fi
    "${pip[@]}" install --quiet --require-hashes -r requirements/dev.txt
    "${pip[@]}" install --quiet --no-deps --no-build-isolation "${editables[@]}"
}

install_tools() {
    local site
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    printf '%s\n' "$PWD/tools" >"$site/alta_tools.pth"
}

# What .venv was made from; the path is in it because programs of a moved environment still point at the old place.
inputs() {
    {
        printf '%s\n' "$PWD"
        cat requirements/dev.txt requirements/uv.txt libs/common/pyproject.toml services/*/pyproject.toml tools/bootstrap.sh
    } | sha256sum
}

is_current() {
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$(inputs)" ] && "$venv/bin/python" -c '' 2>/dev/null
}

mkdir -p .alta
exec 9>.alta/bootstrap.lock
flock 9
install_servers
if is_current; then exit 0; fi

SECONDS=0
if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then make_venv; fi
rm -f "$stamp"
say "Installing the locked packages into $venv"
install_packages
install_tools
inputs >"$stamp"
say "The environment is ready: $("$venv/bin/python" --version) in $PWD/$venv, ${SECONDS} s, $(du -sm "$venv" | cut -f1) MB."
