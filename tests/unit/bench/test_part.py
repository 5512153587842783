from __future__ import annotations

import importlib

import pytest

from bench import part
from bench.part import Options


@pytest.mark.parametrize("name", part.PARTS)
def test_every_part_is_a_program_that_says_what_it_measures(name):
    module = importlib.import_module(f"bench.{name}")
    assert module.__doc__
    assert callable(module.main)


def test_arguments_of_a_part():
    assert part.options("", []) == Options(rounds=3, scale=1.0, dry=False)
    assert part.options("", ["--rounds", "1", "--scale", "0.1", "--dry"]) == Options(1, 0.1, True)


@pytest.mark.parametrize("arguments", [["--rounds", "2"], ["--scale", "0.5"]])
def test_what_gives_no_figures_to_keep_must_be_dry(arguments, capsys):
    with pytest.raises(SystemExit):
        part.options("", arguments)
    assert "add --dry" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--rounds", "0"], ["--scale", "0"]])
def test_nothing_cannot_be_measured(arguments, capsys):
    with pytest.raises(SystemExit):
        part.options("", [*arguments, "--dry"])
    assert "expected --rounds of at least 1" in capsys.readouterr().err


def test_every_partition_has_rows_at_any_scale():
    assert Options(scale=0.001).rows(1000) == 64
    assert Options(scale=0.5).rows(1000) == 500
