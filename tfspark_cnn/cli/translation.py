"""What Spark raises, in the words of this package: one line, and our own error where a task raised one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tfspark_cnn.errors import SourceError, TFSparkError

_CURES = {
    "is not a Parquet file": "say what INPUT is by --format: tfrecord, csv or images",
    "Mkdirs failed": "write to a folder where you, and Spark's executors, may make one",
}
"""By what Spark says."""

_SEE = "run it again with --debug for what Spark writes"


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
        cure = next((cure for mark, cure in _CURES.items() if mark in said), _SEE)
        raise (own_error(error) or SourceError(f"Spark failed: {said}", hint=cure)) from error


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
