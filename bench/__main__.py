"""`python -m bench`: all parts, one after another, each a program of its own; then the README's table.

Takes the arguments of a part, and passes them on.
"""

from __future__ import annotations

import subprocess
import sys
import time

from bench import readme
from bench.part import PARTS, options


def main() -> int:
    """Runs all parts; gives 1 if one of them failed, after all others have run."""
    arguments = sys.argv[1:]
    chosen = options(__doc__, arguments)
    failed = []
    for part in PARTS:
        began = time.monotonic()
        sys.stdout.write(f"\n{part}\n\n")
        sys.stdout.flush()
        if subprocess.run([sys.executable, "-m", f"bench.{part}", *arguments], check=False).returncode:
            failed.append(part)
        sys.stdout.write(f"{part}: {time.monotonic() - began:.0f} s\n")
    if failed:
        sys.stderr.write(f"error: these parts failed: {', '.join(failed)}\n  to do: see what they say above\n")
    if not chosen.dry:
        readme.main()
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
