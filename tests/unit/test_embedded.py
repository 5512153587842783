"""The Spark of notebooks, as far as it needs no Spark."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfspark_cnn import embedded
from tfspark_cnn.errors import ConfigError


@pytest.mark.parametrize("slots", [0, -1, True, 2.5, "4"])
def test_slots_that_cannot_be_are_refused_before_spark_is_imported(slots: object) -> None:
    with pytest.raises(ConfigError, match="expected 1 or more"):
        embedded.local_spark(slots)  # type: ignore[arg-type]


def test_it_stays_on_this_machine_and_draws_no_progress_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_LOCAL_IP", raising=False)
    assert embedded.settings()["spark.driver.bindAddress"] == "127.0.0.1"
    assert embedded.settings()["spark.ui.showConsoleProgress"] == "false"
    monkeypatch.setenv("SPARK_LOCAL_IP", "10.0.0.1")
    assert embedded.settings()["spark.driver.host"] == "10.0.0.1"


def test_what_children_write_meanwhile_goes_to_the_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "deep" / "spark.log"
    with embedded.output_to(file):
        os.write(1, b"out\n")
        os.write(2, b"err\n")
    os.write(1, b"after\n")
    assert file.read_text() == "out\nerr\n"
    assert capfd.readouterr().out == "after\n"


def test_without_a_file_everything_stays_where_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    with embedded.output_to(None):
        os.write(1, b"seen\n")
    assert capfd.readouterr().out == "seen\n"
