"""The versions of PySpark, of Spark's JVM and of Java are compared."""

from __future__ import annotations

import pytest

from tfspark_cnn.doctor import spark_versions
from tfspark_cnn.doctor.findings import Status


@pytest.mark.parametrize(
    ("pyspark", "jvm", "java", "status"),
    [
        ("4.1.4", "4.1.0", "17.0.9", Status.OK),
        ("4.1.4", "4.0.1", "17.0.9", Status.FAILED),
        ("4.1.4", "4.1.4", "1.8.0_392", Status.FAILED),
        ("4.1.4", "4.1.4", "21", Status.OK),
    ],
)
def test_pyspark_spark_and_java_are_compared(pyspark: str, jvm: str, java: str, status: Status) -> None:
    assert spark_versions.spark(pyspark, jvm, java=java, master="local").status is status
