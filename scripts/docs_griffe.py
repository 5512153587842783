"""Lets mkdocstrings read the docstrings of this package as they are meant.

In Google's style, which they follow, `Example:` begins an example; the parser knows `Examples:` only, and would take
the prompts below for quotations.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_EXAMPLE = re.compile(r"^(\s*)Example:[ ]*$", re.MULTILINE)
_DIRECTIVE = re.compile(r"[ ]*# doctest: \+[A-Z]+[ ]*$", re.MULTILINE)


def readable(docstring: str) -> str:
    """Gives a docstring as the parser reads it.

    Example:
        >>> readable("Example:\\n    >>> 1  # doctest: +SKIP")
        'Examples:\\n    >>> 1'
    """
    return _DIRECTIVE.sub("", _EXAMPLE.sub(r"\1Examples:", docstring))


class Examples(griffe.Extension):
    """Changes each docstring when its object is found."""

    def on_instance(self, *, obj: Any, **kwargs: Any) -> None:
        """Changes one."""
        if obj.docstring:
            obj.docstring.value = readable(obj.docstring.value)
