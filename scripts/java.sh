#!/usr/bin/env bash
# Looks for Java 17 or later where Spark will: in JAVA_HOME if it is set, else on PATH. Where there is none, installs it
# by apt for root on Debian or Ubuntu; elsewhere says what to install, and fails.
set -euo pipefail

oldest=17

# The feature release of a java program: 17 from "17.0.9", 8 from "1.8.0_392"; 0 if it does not run.
release() {
    local answer
    answer=$("$1" -version 2>&1) || { echo 0; return; }
    sed -nE 's/.*version "(1\.)?([0-9]+).*/\2/p' <<<"$answer" | head -n 1 | grep . || echo 0
}

fail() {
    echo "error: $1" >&2
    echo "  to do: $2" >&2
    exit 1
}

on_debian() {
    [[ -r /etc/debian_version ]] && command -v apt-get >/dev/null
}

by_apt() {
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # Releases of Debian differ in which Java they carry; the default is the second choice.
    apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless ||
        apt-get install -y -qq --no-install-recommends default-jre-headless
}

if [[ -n "${JAVA_HOME:-}" ]]; then
    found=$(release "$JAVA_HOME/bin/java")
    ((found >= oldest)) && exit 0
    # Spark takes JAVA_HOME whatever is on PATH, so another Java would not help.
    fail "expected Java $oldest or later in JAVA_HOME, $JAVA_HOME; received version $found" \
        "let JAVA_HOME name a Java $oldest or later, or unset it"
fi

if command -v java >/dev/null && (($(release java) >= oldest)); then
    exit 0
fi

if [[ $(id -u) == 0 ]] && on_debian; then
    echo "Java $oldest or later is missing: installing it by apt" >&2
    by_apt >&2
    (($(release java) >= oldest)) && exit 0
fi

fail "expected Java $oldest or later, received none in JAVA_HOME or on PATH" \
    "install it: apt-get install openjdk-17-jre-headless (Debian, Ubuntu), brew install openjdk@17 (macOS)"
