"""The table of verbs: it says what the verbs say, and a start imports none that is not called."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tfspark_cnn.cli import main
from tfspark_cnn.cli.verbs import VERBS, Verb

ROOT = Path(__file__).parents[3]
HELP_CPU_S = 0.3


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_the_summary_is_that_of_the_verbs_own_help(verb: Verb) -> None:
    first, _, rest = (inspect.getdoc(verb.function()) or "").partition("\n\n")
    assert verb.summary == " ".join(first.split())
    assert f"Example: tfspark-cnn {verb.name}" in rest, "each verb has an example"


def in_a_fresh_process(*arguments: str) -> tuple[str, float]:
    """Gives what the command line prints, and seconds of CPU: others may hold the cores."""
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-m", "tfspark_cnn", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    after = os.times()
    used = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    return done.stdout, used


def test_help_lists_all_verbs_within_its_time() -> None:
    tries = [in_a_fresh_process("--help") for _ in range(3)]
    assert all(verb in tries[0][0] for verb in VERBS)
    assert min(seconds for _, seconds in tries) < HELP_CPU_S


def test_a_dry_run_takes_less_than_a_second() -> None:
    _, seconds = in_a_fresh_process("train", "conf/digits.toml", "--dry-run")
    assert seconds < 1


def test_help_imports_no_verb_and_none_of_what_they_stand_on() -> None:
    heavy = {"numpy", "pyarrow", "pandas", "pyspark", "tfspark_cnn.config", *(verb.module for verb in VERBS.values())}
    assert heavy & imported_by("--help") == set()


def test_help_is_not_drawn_by_rich_whose_import_takes_as_long_as_all_else() -> None:
    assert "rich" not in imported_by("--help") | imported_by("train", "--help")


def test_a_dry_run_imports_nothing_of_the_cluster_that_it_does_not_start() -> None:
    heavy = {"pandas", "pyspark", "tensorflow", "tfspark_cnn.cluster.attempts", "tfspark_cnn.cluster.coordinator"}
    assert heavy & imported_by("train", "conf/digits.toml", "--dry-run") == set()


def imported_by(*arguments: str) -> set[str]:
    program = "import sys\nfrom tfspark_cnn.cli.main import app\napp(sys.argv[1:], standalone_mode=False)\n"
    told = "print(*sorted(sys.modules), file=sys.stderr)"
    line = [sys.executable, "-c", program + told, *arguments]
    return set(subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stderr.split())


def test_the_list_of_verbs_cuts_no_summary() -> None:
    told = " ".join(in_a_fresh_process("--help")[0].split())
    assert [verb.name for verb in VERBS.values() if verb.summary not in told] == []


def test_completion_knows_verbs_and_their_options() -> None:
    for typed, expected in (("tr", "train"), ("train --se", "--set"), ("submit --pro", "--properties-file")):
        variables = {**os.environ, "_TFSPARK_CNN_COMPLETE": "complete_bash", "COMP_WORDS": f"tfspark-cnn {typed}"}
        variables["COMP_CWORD"] = str(len(typed.split()))
        program = "from tfspark_cnn.cli.main import main; main([])"
        line = [sys.executable, "-c", program]
        done = subprocess.run(line, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
        assert expected in done.stdout.split(), done.stderr


def test_options_to_install_and_show_completion_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main(["--help"])
    assert caught.value.code == 0
    assert "--install-completion" in capsys.readouterr().out
