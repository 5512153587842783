"""Files of Spark's settings as this package reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfspark_cnn.cli import spark_properties
from tfspark_cnn.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("# a comment\n! another\n\n", {}),
        ("spark.a  1\nspark.b=2\n", {"spark.a": "1", "spark.b": "2"}),
        ("spark.c: 3\nspark.d = 4 5\n", {"spark.c": "3", "spark.d": "4 5"}),
        ("  spark.a\t-Da=b -Dc=d", {"spark.a": "-Da=b -Dc=d"}),
        ("spark.a one\\\n   two\n", {"spark.a": "onetwo"}),
        ("spark.a http://x:1/#y", {"spark.a": "http://x:1/#y"}),
    ],
)  # fmt: skip
def test_settings_are_read_as_java_reads_properties(text: str, found: dict[str, str]) -> None:
    assert spark_properties.parsed(text) == found


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("\n  sprak.a 1\n", "line 2, column 3", "begins with spark., received 'sprak.a'"),
        ("spark.a\n", "line 1, column 8", "expected a value after spark.a"),
        ("spark.a 1\nspark.a 2\n", "line 2, column 1", "spark.a is there a second time"),
    ],
)
def test_a_line_that_is_no_setting_is_refused_with_its_place(text: str, place: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=f"^own.conf, {place}: .*{reason}"):
        spark_properties.parsed(text, where="own.conf")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"received .*no\.conf: No such file"):
        spark_properties.read(str(tmp_path / "no.conf"))
    (tmp_path / "latin.conf").write_bytes(b"spark.a \xe9")
    with pytest.raises(ConfigError, match=r"latin\.conf: it is not UTF-8 text"):
        spark_properties.read(str(tmp_path / "latin.conf"))
