"""Runs the notebooks and writes their pages: `python -m scripts.notebooks [NAME ...]`, without names all of them.

A page is the notebook as it looks when it has run, as markdown and pictures, for readers without Jupyter. Notebooks are
stored without outputs, so pages are what is kept of them.
"""

from __future__ import annotations

import base64
import io
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
PAGES = ROOT / "docs" / "notebooks"
COVER = "cover"  # the tag of the cell whose picture stands in the index
COLOURS = 128  # of a stored picture: a third of the bytes, and no eye sees it
CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
LIMIT_S = 600


def all_notebooks() -> list[Path]:
    """Gives the notebooks in their order."""
    return sorted(NOTEBOOKS.glob("*.ipynb"))


def executed(path: Path) -> Any:
    """Gives a notebook with its outputs, run from top to bottom in a folder of its own."""
    from nbclient import NotebookClient

    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # the kernel of this interpreter
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, timeout=LIMIT_S, kernel_name="python3", resources=resources).execute()
    return notebook


def page(notebook: Any, name: str) -> tuple[str, dict[str, bytes]]:
    """Gives the page of a notebook that has run, as markdown, and its pictures by file name."""
    parts, pictures = [f"<!-- made from notebooks/{name}.ipynb by python -m scripts.notebooks -->"], {}
    heading = ""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            parts.append(linked(cell.source))
            heading = next((line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("#")), heading)
            continue
        parts.append(fenced(cell.source, "python"))
        for output in cell.outputs:
            png = output.get("data", {}).get("image/png")
            if png is None:
                parts.append(html_of(output) or fenced(text_of(output), "text"))
                continue
            cover = COVER in cell.metadata.get("tags", []) and f"{name}.png" not in pictures
            file = f"{name}.png" if cover else f"{name}-{len(pictures) + 1}.png"
            pictures[file] = base64.b64decode(png)
            parts.append(f"![{heading}]({file})")
    return "\n\n".join(part for part in parts if part) + "\n", pictures


def fenced(text: str, language: str) -> str:
    """Gives a block of code, or nothing for no text."""
    return f"```{language}\n{text}\n```" if text.strip() else ""


def linked(markdown: str) -> str:
    """Gives markdown of a notebook with its links as they are seen from the page."""
    return re.sub(r"\(([\w-]+)\.ipynb\)", r"(\1.md)", markdown).replace("](../docs/", "](../")


def html_of(output: Any) -> str:
    """Gives an output as HTML where it has any, as the display of a run has."""
    return output.get("data", {}).get("text/html", "").strip()


def text_of(output: Any) -> str:
    """Gives what an output says in words, without colours."""
    told = output.text if output.output_type == "stream" else output.get("data", {}).get("text/plain", "")
    return CONTROL.sub("", told).rstrip()


def small(png: bytes) -> bytes:
    """Gives a picture with a palette."""
    from PIL import Image

    file = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS).save(file, "PNG", optimize=True)
    return file.getvalue()


def title_and_about(notebook: Any) -> tuple[str, str]:
    """Gives the question that a notebook answers, and the paragraph below it."""
    lines = [line for line in notebook.cells[0].source.splitlines() if line]
    return lines[0].lstrip("# "), lines[1]


def index(*, links: str, pictures: str) -> str:
    """Gives the index, as seen from a folder.

    Args:
        links: the suffix of what it leads to, `.ipynb` or `.md`.
        pictures: the folder of pictures, with its slash.
    """
    parts = ["# Notebooks", INTRODUCTION, *([STORED] if links == ".ipynb" else [])]
    for path in all_notebooks():
        title, about = title_and_about(nbformat.read(path, as_version=4))
        link = f"{path.stem}{links}"
        number = path.stem.partition("-")[0]
        parts += [f"## [{number}. {title}]({link})", about, f"[![{title}]({pictures}{path.stem}.png)]({link})"]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """Each is titled by the question that it answers, takes two minutes at most on two cores, and checks
what it says: a wrong result fails its cell. They need Java, and this package with what it draws with:
`pip install '.[plot]'`."""

STORED = """Open them with `jupyter lab notebooks`. They are stored without outputs;
[their pages](../docs/notebooks/README.md) show them as they look when they have run."""


def write(path: Path) -> None:
    """Runs one notebook and writes its page and its pictures in place of those that are there."""
    name = path.stem
    text, pictures = page(executed(path), name)
    for old in PAGES.glob(f"{name}*"):
        old.unlink()
    (PAGES / f"{name}.md").write_text(text, encoding="utf-8")
    for file, png in pictures.items():
        (PAGES / file).write_bytes(small(png))


def write_index() -> None:
    """Writes the index of the notebooks, and that of their pages."""
    (NOTEBOOKS / "README.md").write_text(index(links=".ipynb", pictures="../docs/notebooks/"), encoding="utf-8")
    (PAGES / "README.md").write_text(index(links=".md", pictures=""), encoding="utf-8")


def main(names: list[str]) -> None:
    """Writes the pages of the notebooks whose names begin so, or of all."""
    PAGES.mkdir(parents=True, exist_ok=True)
    for path in all_notebooks():
        if not names or path.stem.startswith(tuple(names)):
            print(path.name, flush=True)
            write(path)
    write_index()


if __name__ == "__main__":
    main(sys.argv[1:])
