"""What Spark raises, in the words of this package."""

from __future__ import annotations

import pytest
from py4j.protocol import Py4JError

from tfspark_cnn.cli.translation import translated
from tfspark_cnn.errors import SourceError

CALL = "An error occurred while calling o3.parquet.\n: org.apache.spark.SparkException: aborted\nCaused by: "


@pytest.mark.parametrize(
    ("cause", "cure"),
    [
        ("java.lang.RuntimeException: file:/a is not a Parquet file (length is too low: 3)", "--format"),
        ("java.io.IOException: Mkdirs failed to create file:/proc/y/_temporary", "write to a folder"),
        ("java.lang.OutOfMemoryError: heap", "--debug"),
    ],
)
def test_a_cause_of_the_jvm_is_told_with_its_cure(cause: str, cure: str) -> None:
    with pytest.raises(SourceError, match="Spark failed: java") as caught, translated():
        raise Py4JError(CALL + cause)
    assert cause in caught.value.message
    assert cure in caught.value.hint
