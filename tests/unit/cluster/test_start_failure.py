"""The error of a start that has failed stays the first one, whatever becomes of the looking."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

from tfspark_cnn.cluster import start_failure
from tfspark_cnn.errors import ClusterError, JobError, MapFunError, NodeError, ReservationTimeout, TFSparkError


class Gone:
    """A Spark of which every use fails, and is counted."""

    def __init__(self) -> None:
        self.asked = 0

    def __getattr__(self, name: str) -> NoReturn:
        self.asked += 1
        raise RuntimeError(f"the JVM is gone: {name}")


def raised(error: BaseException, spark: Any) -> BaseException:
    with pytest.raises(type(error)) as caught:
        with start_failure.examined(spark, 2, feeders=1, profile=None):
            raise error
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        NodeError("map_fun raised ValueError", hint="mend it"),
        MapFunError("cannot be pickled", hint="mend it"),
        JobError("Spark failed the job that holds the nodes: Job 3 cancelled", hint="mend it"),
        KeyboardInterrupt(),
    ],
)
def test_what_has_said_its_cause_is_not_looked_into(error: BaseException) -> None:
    spark = Gone()
    assert raised(error, spark) is error
    assert spark.asked == 0 and getattr(error, "hint", "mend it") == "mend it"


@pytest.mark.parametrize("error", [ReservationTimeout("late", hint="wait"), ClusterError("no port"), JobError("lost")])
def test_looking_that_fails_itself_changes_nothing(error: TFSparkError) -> None:
    spark, hint = Gone(), error.hint
    assert raised(error, spark) is error
    assert spark.asked > 0 and error.hint == hint
