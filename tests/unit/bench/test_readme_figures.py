from __future__ import annotations

import pytest

from bench import readme
from bench.part import PARTS
from bench.rounds import Ratio, Result


def result(part: str, rounds: int = 3) -> Result:
    figures = [1.0] * rounds
    return Result(f"python -m bench.{part}", "2 cores", [Ratio(f"the {part}", "it", "s", figures, figures, most=1.1)])


def test_the_figures_in_the_readme_are_those_of_the_results():
    text = readme.README.read_text(encoding="utf-8")
    assert readme.between(text) == readme.section(readme.results()), "run: python -m bench.readme"


def test_without_results_the_section_says_that_none_were_taken(tmp_path):
    assert readme.section(readme.results(tmp_path)) == readme.NONE_TAKEN


def test_every_line_has_its_command_in_the_order_of_the_parts(tmp_path):
    for part in reversed(PARTS):
        result(part).write(part, tmp_path)
    lines = readme.section(readme.results(tmp_path)).splitlines()
    assert [line.split("|")[-2].strip() for line in lines[2 : 2 + len(PARTS)]] == [
        f"`python -m bench.{part}`" for part in PARTS
    ]
    assert {line.count("|") for line in lines[: 2 + len(PARTS)]} == {lines[0].count("|")}
    assert lines[-1] == "Medians of at least 3 interleaved rounds, measured on 2 cores, by `make bench`."


def test_only_what_stands_between_the_markers_is_written():
    before = f"# A\n\n{readme.BEGIN}\n\nold\n\n{readme.END}\n\n## B\n"
    after = readme.updated(before, "new")
    assert after == before.replace("old", "new")
    assert readme.between(after) == "new"
    assert readme.updated(after, "new") == after


@pytest.mark.parametrize(
    "text",
    ["", readme.BEGIN, readme.END + readme.BEGIN, f"{readme.BEGIN}{readme.END}" * 2],
    ids=["none", "no end", "backwards", "twice"],
)
def test_markers_that_are_not_there_once_are_an_error(text):
    with pytest.raises(ValueError, match="expected .*figures:begin.* once each"):
        readme.updated(text, "new")
