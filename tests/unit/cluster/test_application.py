"""What the driver asks of an application that may not be there any more."""

from __future__ import annotations

import pytest

from tfspark_cnn.cluster import application
from tfspark_cnn.errors import ConfigError


class Stopped:
    """A SparkContext after its end."""

    _jsc = None

    def parallelize(self) -> None:
        """Is what tells it from other things."""


def test_an_application_that_was_stopped_is_told() -> None:
    with pytest.raises(ConfigError, match=r"the Spark application was stopped\n.*getOrCreate"):
        application.session(Stopped())


def test_what_is_no_context_is_told() -> None:
    with pytest.raises(ConfigError, match="sc is a int, expected a SparkContext or a SparkSession"):
        application.session(3)
