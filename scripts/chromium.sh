#!/usr/bin/env bash
# Looks for Chromium or Chrome, which the tests of pages are opened in: in $CHROMIUM if it is set, else on PATH. Where
# there is none, installs it by apt for root on Debian or Ubuntu; elsewhere says what to install, and fails.
set -euo pipefail

if [[ -n "${CHROMIUM:-}" ]]; then
    [[ -x "$CHROMIUM" ]] && exit 0
    echo "error: expected a browser in CHROMIUM, received $CHROMIUM" >&2
    echo "  to do: let CHROMIUM name the program of Chromium or Chrome, or unset it" >&2
    exit 1
fi
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done

if [[ $(id -u) != 0 ]] || ! [[ -r /etc/debian_version ]] || ! command -v apt-get >/dev/null; then
    echo "error: expected Chromium or Chrome on PATH, found none" >&2
    echo "  to do: install one (Debian: apt-get install chromium), or set CHROMIUM to its program" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "Chromium is missing; installing it by apt" >&2
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; } >/dev/null
