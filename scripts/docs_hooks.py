"""What mkdocs calls: pages that are made of the README, of docstrings, of the command line and of errors.

Directives stand in Markdown files alone on a line, where a reader of the file itself does not see them:
`<!-- include: README.md -->` puts a file there, `<!-- show: conf/spark-yarn.conf -->` a file as code, if it is there,
and `<!-- made: cli -->` what one of the makers below makes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docs_api
import docs_cli
import docs_errors
import docs_links
import docs_nav
import docs_params
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]

PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "bench/README.md": "bench.md",
    "examples/README.md": "examples.md",
}
"""Files outside of docs/ that are pages. The first is put into docs/index.md."""

PLACES = {**PAGES, "notebooks/README.md": "notebooks/README.md"}
"""Where links to such files lead; notebooks have an index of their own in docs/."""

_DIRECTIVE = re.compile(r"^<!-- (include|show|made): (\S+) -->$", re.MULTILINE)


def _adr_index() -> str:
    titles = {path.name: path.read_text(encoding="utf-8").partition("\n")[0] for path in ROOT.glob("docs/adr/0*.md")}
    return "\n".join(f"- [{title.removeprefix('# ')}]({name})" for name, title in sorted(titles.items()))


MAKERS: dict[str, Callable[[], str]] = {
    "cli": docs_cli.cli_reference,
    "errors": lambda: docs_errors.error_reference(ROOT / docs_api.PACKAGE),
    "api": lambda: docs_api.index(docs_api.api_pages(ROOT)),
    "params": docs_params.param_reference,
    "adr": _adr_index,
}


def on_files(files: Any, *, config: Any) -> Any:
    """Adds the pages that have no file in docs/, copies of files that are linked to, and the navigation."""
    for source, page in PAGES.items():
        if page != "index.md":
            files.append(File.generated(config, page, content=_site_text(ROOT / source, page)))
    modules = docs_api.api_pages(ROOT)
    for made in modules:
        files.append(File.generated(config, made.path, content=made.markdown()))
    for path in sorted(_linked_files()):
        target = docs_links.place_of(path, PLACES)
        if target.startswith(docs_links.COPIES):
            files.append(File.generated(config, target, content=(ROOT / path).read_bytes()))
    pages = [file.src_uri for file in files.documentation_pages()]
    labels = {made.path: made.module.removeprefix(f"{docs_api.PACKAGE}.") for made in modules}
    config.nav = docs_nav.navigation(config.extra["sections"], pages, labels=labels)
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Puts into a page what its directives ask for, and mends links that lead out of docs/."""
    if page.file.generated_by:
        return markdown
    here = f"docs/{page.file.src_uri}"
    linked = docs_links.relinked(markdown, source=here, page=page.file.src_uri, place=_place)
    return _DIRECTIVE.sub(lambda found: _directed(found[1], found[2], page.file.src_uri), linked)


def _directed(kind: str, name: str, page: str) -> str:
    path = ROOT / name
    if kind == "include":
        return _site_text(path, page)
    if kind == "made":
        return MAKERS[name]()
    if not path.exists():
        return ""
    return f"`{name}`:\n\n```{_language(path)}\n{path.read_text(encoding='utf-8').rstrip()}\n```"


def _language(path: Path) -> str:
    known = {".conf": "properties", ".toml": "toml", ".properties": "properties", ".py": "python", ".yaml": "yaml"}
    return known.get(path.suffix, "dockerfile" if path.name == "Dockerfile" else "text")


def _site_text(path: Path, page: str) -> str:
    source = path.relative_to(ROOT).as_posix()
    return docs_links.relinked(path.read_text(encoding="utf-8"), source=source, page=page, place=_place)


def _place(path: str) -> str:
    return docs_links.place_of(path, PLACES)


def _linked_files() -> set[str]:
    sources = [*(ROOT / name for name in PAGES), *ROOT.glob("docs/**/*.md")]
    found = {
        target
        for source in sources
        for target in docs_links.targets(source.read_text(encoding="utf-8"), source=source.relative_to(ROOT).as_posix())
    }
    return {path for path in found if (ROOT / path).is_file()}
