#!/bin/sh
# Makes .venv and installs the requirements into it, when they changed since the last time.
set -eu
cd "$(dirname "$0")/.."
venv=.venv
log=$venv/setup.log

fail() {
    echo "$*" >&2
    exit 1
}

# Prints the first Python that is new enough and can make virtual environments.
find_python() {
    bare=
    for candidate in ${PYTHON:-python3.12 python3.11 python3.13 python3.14 python3}; do
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        if "$candidate" -c 'import venv, ensurepip' 2>/dev/null; then
            echo "$candidate"
            return
        fi
        bare=${bare:-$("$candidate" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')}
    done
    [ -z "$bare" ] || fail "Python is here, but without venv and ensurepip: on Debian and Ubuntu, apt install $bare"
    fail "Python 3.11 or later is needed, and none of python3.12, python3.11 and python3 is that."
}

works() {
    "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

if works && cmp -s requirements-dev.txt "$venv/installed.txt"; then
    exit 0
fi
if ! works; then
    python=$(find_python)
    echo "Making $venv with $python"
    output=$("$python" -m venv --clear "$venv" 2>&1) || fail "$venv could not be made: $output"
fi
echo "Installing the requirements into $venv; the first time this takes a minute or two"
"$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check --require-hashes \
    -r requirements-dev.txt >"$log" 2>&1 || {
    reason=$(grep -i error "$log" | tail -n 1 | cut -c 1-300)
    fail "The requirements could not be installed (${reason:-no reason given}); the whole story is in $log"
}
cp requirements-dev.txt "$venv/installed.txt"
