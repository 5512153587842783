#!/bin/sh
# Prints the first Python of 3.11 to 3.13: python3 if it is one, else the newest there is. Prints nothing if there is none.
for candidate in python3 python3.13 python3.12 python3.11; do
    # Run it: a shim of pyenv is found on PATH even where its version is not installed.
    if "$candidate" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
    then
        echo "$candidate"
        exit 0
    fi
done
