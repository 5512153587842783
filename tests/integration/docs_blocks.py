"""Blocks of code in the documentation: found, and those of Python run, one page after the other in one process.

`python docs_blocks.py PAGE...` runs the pages' blocks and writes a line of JSON for each page: what went wrong, if
anything. Blocks of a page share their names, as a reader would type them one after the other; all share one Spark
application.
A comment before a block says why it cannot run: `<!-- not run: needs YARN -->`.
"""

from __future__ import annotations

import json
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), ROOT / "bench" / "README.md", ROOT / "CONTRIBUTING.md"])
"""Those of the README have tests of their own, in test_readme.py."""

_BLOCK = re.compile(r"^(?:<!-- not run: ([^\n]*?) -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: that it stands on, as a path in the repository.
        line: of its first line of code.
        language: as `python`.
        code: what it holds.
        not_run: why it cannot run; None: it can.
    """

    page: str
    line: int
    language: str
    code: str
    not_run: str | None

    @property
    def place(self) -> str:
        """Where it is."""
        return f"{self.page}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Gives all blocks of a page."""
    text, name = page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix()
    return [
        Block(name, text.count("\n", 0, found.start(3)) + 1, found[2], found[3], found[1])
        for found in _BLOCK.finditer(text)
    ]


def programs() -> dict[str, list[Block]]:
    """Gives the blocks of Python that can run, by page; notebooks, which also are pages, have tests of their own."""
    found = {page.relative_to(ROOT).as_posix(): blocks(page) for page in PAGES if page.parent.name != "notebooks"}
    return {page: runs for page, some in found.items() if (runs := [one for one in some if _runs(one)])}


def _runs(block: Block) -> bool:
    return block.language == "python" and block.not_run is None


def run(page: list[Block]) -> str | None:
    """Runs the blocks of a page; gives the traceback of what went wrong, or None."""
    names = {"__name__": "__main__"}  # so that functions travel to nodes by value, as those of a program do
    try:
        for block in page:
            # So that a traceback names the line of the page.
            exec(compile("\n" * (block.line - 1) + block.code, block.page, "exec"), names)
    except Exception:
        return traceback.format_exc()
    return None


def results(pages: list[str]) -> Iterator[str]:
    """Runs pages; gives a line of JSON for each."""
    known = programs()
    for page in pages:
        yield json.dumps({"page": page, "error": run(known[page])})


if __name__ == "__main__":
    for line in results(sys.argv[1:]):
        print(f"DONE {line}", flush=True)
