"""What Spark says of a failed job or start is brought to its cause."""

from __future__ import annotations

import pytest

from tfspark_cnn.doctor import job_failures


@pytest.mark.parametrize(
    ("text", "name", "seen"),
    [
        (
            'Caused by: java.io.IOException: Cannot run program "/opt/env/bin/python": error=2, No such file',
            "python", "no /opt/env/bin/python",
        ),
        (
            "[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.12 than that in driver: 3.11, PySpark",
            "python", "another Python than the driver: 3.12",
        ),
        ("ModuleNotFoundError: No module named 'tfspark_cnn'", "packages", "no module tfspark_cnn"),
        ("ImportError: PyArrow >= 15.0.0 must be installed; however, it was not found.", "packages", "PyArrow >= 15"),
        ("java.lang.OutOfMemoryError", "nodes", "Spark failed the tasks of the examination: the line"),
    ],
)  # fmt: skip
def test_a_failed_job_means_what_its_text_says(text: str, name: str, seen: str) -> None:
    found = job_failures.explained(f"Job aborted\n{text}\n  at org.apache", brief="the line")
    assert found.name == name and seen in found.seen and found.cure


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("SparkException: Could not parse Master URL: 'spork://a'", "no master of the form spork://a"),
        ("When running with master 'yarn' either HADOOP_CONF_DIR or YARN_CONF_DIR must be set", "YARN"),
        ("Application has been killed. Reason: All masters are unresponsive! Giving up.", "All masters are"),
        ("java.net.BindException: Cannot assign requested address: Service 'sparkDriver' failed", "sparkDriver"),
        ("something else", "Spark does not start: the line"),
        ("[JAVA_GATEWAY_EXITED] exited\nError: Failed to load class x.\n", "does not start: Failed to load class x."),
    ],
)  # fmt: skip
def test_a_spark_that_did_not_start_has_a_cure(text: str, seen: str) -> None:
    found = job_failures.not_started(text, brief="the line")
    assert found.name == "spark" and seen in found.seen and found.cure


def test_tasks_that_did_not_start_in_time_are_told_with_the_limit() -> None:
    assert "3 tasks at once did not start and answer within 8 s" in job_failures.late(3, 8.0).seen
