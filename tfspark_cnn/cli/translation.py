"""What Spark raises, in the words of this package: one line, and our own error where a task raised one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tfspark_cnn.errors import SourceError, TFSparkError


@contextmanager
def translated() -> Iterator[None]:
    """Turns what Spark raises into one line: our own error, where a task raised one.

    Raises:
        TFSparkError: it raised.
    """
    try:
        yield
    except TFSparkError:
        raise
    except Exception as error:
        if not type(error).__module__.startswith(("pyspark", "py4j")):
            raise
        from tfspark_cnn.cluster.launcher import brief, own_error

        said = cause_in(str(error)) or brief(error)
        raise (
            own_error(error)
            or SourceError(f"Spark failed: {said}", hint="run it again with --debug for what Spark writes")
        ) from error


def cause_in(text: str) -> str:
    """Gives the innermost cause in what the JVM says about a call that failed; empty where it says none.

    Example:
        >>> cause_in("An error occurred while calling o3.parquet.\\n: A: aborted\\nCaused by: B: not a Parquet file")
        'B: not a Parquet file'
    """
    if not text.startswith("An error occurred while calling"):
        return ""
    lines = [line.strip() for line in text.splitlines()[1:]]
    causes = [line.removeprefix("Caused by:").strip() for line in lines if line.startswith("Caused by:")]
    return causes[-1] if causes else (lines or [""])[0].lstrip(": ")
