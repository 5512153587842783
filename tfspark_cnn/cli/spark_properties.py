"""Files of Spark's settings, as `spark-submit --properties-file` takes them. Pure, but for `read`.

They are Java's properties: a key, white space or `=` or `:`, and a value to the end of the line; `#` and `!` begin
comments; a backslash at the end of a line joins the next one.

Example:
    >>> parsed("spark.task.cpus  4   # is part of the value\\n")
    {'spark.task.cpus': '4   # is part of the value'}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from tfspark_cnn.errors import ConfigError

_LINE = re.compile(r"([^\s=:]+)(?:\s*[=:]\s*|\s+|$)(.*)")


def read(path: str) -> Mapping[str, str]:
    """Gives the settings in a file.

    Raises:
        ConfigError: it cannot be read, or a line of it is no setting of Spark.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ConfigError(
            f"expected a file of Spark's settings, received {path}: {reason}", hint="as conf/spark-standalone.conf"
        ) from error
    return parsed(text, where=path)


def parsed(text: str, *, where: str = "the properties") -> dict[str, str]:
    """Gives the settings in a text.

    Args:
        text: of the file.
        where: it is from, for errors.

    Raises:
        ConfigError: a key is none of Spark's, has no value, or is there twice.
    """
    found: dict[str, str] = {}
    for number, line in _logical(text):
        match = _LINE.fullmatch(line)
        key, value = (match[1], match[2].strip()) if match else (line, "")
        column = text.splitlines()[number - 1].find(key[:1]) + 1
        if not key.startswith("spark."):
            raise _error(where, number, column, f"expected a key that begins with spark., received {key!r}")
        if not value:
            raise _error(where, number, column + len(key), f"expected a value after {key}, received none")
        if key in found:
            raise _error(where, number, column, f"{key} is there a second time")
        found[key] = value
    return found


def _error(where: str, line: int, column: int, reason: str) -> ConfigError:
    return ConfigError(f"{where}, line {line}, column {column}: {reason}", hint=f"mend line {line}: KEY VALUE")


def _logical(text: str) -> Iterator[tuple[int, str]]:
    """Gives lines that say something, those that go on joined, with the number of their first."""
    begun, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if not begun and (not stripped or stripped.startswith(("#", "!"))):
            continue
        first = first if begun else number
        begun += stripped.removesuffix("\\")
        if not stripped.endswith("\\"):
            yield first, begun.strip()
            begun = ""
    if begun:
        yield first, begun.strip()
