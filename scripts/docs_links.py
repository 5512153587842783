"""Links of Markdown files that lie anywhere in the repository, made into links of the site. Pure.

Pages keep the links that lead somewhere in the repository as it is looked at without the site; here they become those
of the site: to a page where there is one, else to a copy of the file.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping

COPIES = "repository"
"""The folder of the site for files that are no pages."""

_FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
# Code comes first, unless it is a part of what a link says.
_LINK = re.compile(r"(`[^`\n]+`)|(!?\[(?:`[^`\n]*`|\[[^\]]*\]|[^\]\[`])*\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


def relinked(text: str, *, source: str, page: str, place: Callable[[str], str]) -> str:
    """Gives the text with links as the page of the site needs them.

    Args:
        text: Markdown.
        source: the file's path in the repository, `README.md`.
        page: the page's path in the site, `index.md`.
        place: gives the place in the site of a path of the repository.

    Example:
        >>> relinked("[why](docs/adr/1.md)", source="README.md", page="index.md", place=lambda path: path[5:])
        '[why](adr/1.md)'
    """

    def changed(found: re.Match[str]) -> str:
        code, before, link, after = found.groups()
        if code or "://" in link or link.startswith("mailto:"):
            return found[0]
        target = place(posixpath.normpath(posixpath.join(posixpath.dirname(source), link)))
        return f"{before}{posixpath.relpath(target, posixpath.dirname(page) or '.')}{after}"

    parts = _FENCED.split(text)
    return "".join(part if number % 2 else _LINK.sub(changed, part) for number, part in enumerate(parts))


def targets(text: str, *, source: str) -> list[str]:
    """Gives the paths in the repository that the links of a file lead to."""
    found: list[str] = []

    def noted(path: str) -> str:
        found.append(path)
        return path

    relinked(text, source=source, page=source, place=noted)
    return found


def place_of(path: str, pages: Mapping[str, str]) -> str:
    """Gives the place in the site of a path of the repository.

    Args:
        path: as `docs/adr` or `conf/digits.toml`.
        pages: place by path, of files outside of docs/ that are pages.

    Example:
        >>> place_of("docs/adr", {}), place_of("README.md", {"README.md": "index.md"}), place_of("LICENSE", {})
        ('adr/index.md', 'index.md', 'repository/LICENSE')
    """
    if path in pages:
        return pages[path]
    folder, _, rest = path.partition("/")
    if folder != "docs":
        return f"{COPIES}/{path}"
    return rest if "." in posixpath.basename(rest) else posixpath.join(rest, "index.md")
