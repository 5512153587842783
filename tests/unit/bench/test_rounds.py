from __future__ import annotations

import pytest

from bench.rounds import HEAD, Ratio, Result, interleaved, rounded, timed


def ratio(ours: list[float], theirs: list[float], **more) -> Ratio:
    return Ratio("feed", "nothing", "rows/s", ours, theirs, **more)


def names(rounds: int, *, warm_up: bool) -> tuple[list[str], dict[str, list[int]]]:
    ran: list[str] = []

    def runs(name: str):
        return lambda: (ran.append(name), len(ran))[1]

    return ran, interleaved({name: runs(name) for name in "abc"}, rounds=rounds, warm_up=warm_up)


def test_contenders_take_turns_every_other_round_backwards_after_a_round_that_does_not_count():
    ran, figures = names(2, warm_up=True)
    assert "".join(ran) == "abc" + "cba" + "abc"
    assert figures == {"a": [6, 7], "b": [5, 8], "c": [4, 9]}


def test_without_a_warm_up_every_round_counts():
    ran, figures = names(1, warm_up=False)
    assert len(ran) == 3
    assert sorted(figure for (figure,) in figures.values()) == [1, 2, 3]


def test_a_ratio_is_that_of_a_round_and_not_of_medians():
    slower_each_round = ratio([100.0, 50.0, 10.0], [50.0, 25.0, 5.0])
    assert slower_each_round.ratios == [2.0, 2.0, 2.0]
    assert slower_each_round.median == 2.0


@pytest.mark.parametrize(
    ("asked", "reached", "words"),
    [
        ({"least": 0.9}, True, "at least 0.9"),
        ({"least": 1.1}, False, "at least 1.1"),
        ({"most": 1.1}, True, "at most 1.1"),
        ({"most": 0.9}, False, "at most 0.9"),
        ({}, None, ""),
    ],
)
def test_a_median_of_one_is_reached_or_not(asked, reached, words):
    one = ratio([1.0, 1.0, 1.0], [1.0, 1.0, 1.0], **asked)
    assert one.reached is reached
    assert one.asked == words


def test_a_line_says_everything():
    line = ratio([45_000.0, 46_000.0, 30_000.0], [50_000.0, 46_000.0, 60_000.0], least=0.95, row_bytes=3136).line()
    assert line == (
        "| feed | nothing | 45,000 rows/s (141 MB/s) | 50,000 rows/s (157 MB/s) | 0.90 (0.50 to 1.00) "
        "| at least 0.95 | **no** |"
    )
    assert line.count("|") == HEAD.splitlines()[0].count("|") == HEAD.splitlines()[1].count("|")


def test_rounds_that_do_not_pair_up_are_an_error():
    with pytest.raises(ValueError, match="shorter"):
        _ = ratio([1.0, 2.0], [1.0]).ratios


@pytest.mark.parametrize(("figure", "text"), [(46_123.4, "46,123"), (99.96, "100.0"), (1.234, "1.23"), (0.567, "0.57")])
def test_figures_have_three_digits(figure, text):
    assert rounded(figure) == text


def test_results_are_read_as_they_were_written(tmp_path):
    result = Result("python -m bench.feed", "2 cores", [ratio([1.0, 2.0, 3.0], [2.0, 2.0, 2.0], most=1.5, row_bytes=4)])
    result.write("feed", tmp_path / "results")
    assert Result.read(tmp_path / "results" / "feed.json") == result
    assert (tmp_path / "results" / "feed.md").read_text() == result.table()
    assert result.table().endswith("Made by `python -m bench.feed` on 2 cores; 3 interleaved rounds.\n")


def test_a_call_is_timed():
    called: list[int] = []
    assert timed(lambda: called.append(1)) >= 0
    assert called == [1]
