"""Wrong usage of the command line: two lines, exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfspark_cnn.cli import main

CONF = str(Path(__file__).parents[3] / "conf" / "digits.toml")

WRONG = {
    "unknown verb": (("trian",), "No such command 'trian'", "did you mean 'train'?"),
    "no configuration": (("train",), "Missing argument 'CONF'", "write tfspark-cnn train [OPTIONS] CONF"),
    "unknown option": (("train", CONF, "--sett", "x"), "No such option '--sett'", "did you mean '--set'?"),
    "no value": (("train", CONF, "--set"), "Option '--set' requires an argument", "see tfspark-cnn"),
    "wrong choice": (("evaluate", "m", "t", "--format", "parket"), "'parket' is not one of", "did you mean 'parquet'?"),
    "no number": (("predict", "m", "t", "o", "--scale", "x"), "'--scale'", "see tfspark-cnn predict --help"),
    "too many": (("train", CONF, "other.toml"), "Got unexpected extra argument", "see tfspark-cnn train --help"),
    "unknown verb to submit": (("submit", "tain", CONF), "received 'tain'", "did you mean 'train'?"),
    "no verb to submit": (("submit",), "Missing argument 'VERB ARGS'", "see tfspark-cnn submit --help"),
    "wrong deploy mode": (
        ("submit", "--deploy-mode", "clustr", "train", CONF),
        "'clustr'",
        "did you mean 'cluster'?",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_usage_is_one_line_of_error_and_one_of_cure(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, error, cure = WRONG[name]
    with pytest.raises(SystemExit) as caught:
        main.main(arguments)
    told = capsys.readouterr()
    first, second = told.err.splitlines()
    assert (caught.value.code, told.out) == (2, "")
    assert first.startswith("error: ") and error in first
    assert second.startswith("  to do: ") and cure in second


def test_nothing_typed_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main([])
    assert caught.value.code == 2
    assert "Usage: tfspark-cnn [OPTIONS] COMMAND" in capsys.readouterr().out
