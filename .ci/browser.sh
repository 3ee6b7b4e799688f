#!/bin/sh
# Sees to a chromium for the browser tests. Without one they are left out, loudly; on CI that is an error.
set -eu
cd "$(dirname "$0")/.."
log=.venv/browser.log

has_browser() {
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null
}

if ! has_browser && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "Installing chromium for the browser tests"
    export DEBIAN_FRONTEND=noninteractive
    {
        apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium
    } >"$log" 2>&1 || echo "chromium could not be installed; the whole story is in $log" >&2
fi
if ! has_browser; then
    if [ "${CI:-}" = true ]; then
        echo "There is no chromium, and CI needs the browser tests." >&2
        exit 1
    fi
    echo "**** THE BROWSER TESTS ARE LEFT OUT: there is no chromium. Install it (apt install chromium) to run them. ****" >&2
fi
