"""The navigation of the documentation: sections and patterns, made into the pages that there are. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeAlias

Entry: TypeAlias = str | dict[str, str]
"""A page, or its label and the page."""

MORE = "More"
"""The section of pages that no pattern matches, so that none is out of reach."""


def navigation(
    sections: Sequence[Mapping[str, Sequence[str]]], pages: Sequence[str], *, labels: Mapping[str, str] | None = None
) -> list[dict[str, list[Entry]]]:
    """Gives the navigation: each page once, where the first pattern matches it.

    Args:
        sections: `{title: patterns}`, in order.
        pages: paths of all pages.
        labels: of pages that are not called by their titles.

    Example:
        >>> navigation([{"Guides": ["b.md", "*.md"]}], ["a.md", "b.md", "more/c.md"])
        [{'Guides': ['b.md', 'a.md']}, {'More': ['more/c.md']}]
    """
    left, found = sorted(pages), list[tuple[str, list[str]]]()
    for title, patterns in (item for section in sections for item in section.items()):
        chosen: list[str] = []
        for pattern in patterns:
            chosen += [page for page in left if page not in chosen and _matches(page, pattern)]
        left = [page for page in left if page not in chosen]
        found.append((title, chosen))
    entries = {title: [_entry(page, labels or {}) for page in chosen] for title, chosen in [*found, (MORE, left)]}
    return [{title: chosen} for title, chosen in entries.items() if chosen]


def _entry(page: str, labels: Mapping[str, str]) -> Entry:
    return {labels[page]: page} if page in labels else page


def _matches(page: str, pattern: str) -> bool:
    """Whether it does; a `*` stays within a folder, and `**` does not."""
    return fnmatchcase(page, pattern) and ("**" in pattern or page.count("/") == pattern.count("/"))
