"""`tfspark-cnn data`: what it says, to people and to programs, and how it ends."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tfspark_cnn.cli import main
from tfspark_cnn.cli.data import line
from tfspark_cnn.data import published
from tfspark_cnn.data.download import Moment, News
from tfspark_cnn.data.published import Published, PublishedFile

BODIES = {name: name.encode() * 100 for name in ("images.gz", "labels.gz")}


def exit_code(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main.main(("data", *arguments))
    return caught.value.code


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder with a small MNIST, which is what the table has now."""
    (tmp_path / "mirror").mkdir()
    for name, body in BODIES.items():
        (tmp_path / "mirror" / name).write_bytes(body)
    files = tuple(PublishedFile(name, len(body), hashlib.sha256(body).hexdigest()) for name, body in BODIES.items())
    monkeypatch.setitem(published._PUBLISHED, "mnist", Published(("http://nowhere.invalid/",), files))
    return (tmp_path / "mirror").as_uri()


def test_files_come_from_a_mirror_and_the_next_command_is_told(
    mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    assert exit_code("mnist", str(folder), "--url", mirror) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        f"2 files of mnist in {folder}",
        f"train on it: tfspark-cnn train CONF --set data.source=mnist --set data.dir={folder}",
    ]
    assert told.err.splitlines() == [
        f"images.gz: {mirror}/images.gz", "images.gz: done, 0.0 MB", f"labels.gz: {mirror}/labels.gz",
        "labels.gz: done, 0.0 MB",
    ]  # fmt: skip
    assert {one.name: one.read_bytes() for one in folder.iterdir()} == BODIES


def test_the_result_is_json_for_programs(mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "images.gz").write_bytes(BODIES["images.gz"])
    assert exit_code("mnist", str(tmp_path / "data"), "--url", mirror, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["name"], told["dir"]) == ("mnist", str(tmp_path / "data"))
    assert [(one["name"], one["bytes"], one["kept"]) for one in told["files"]] == [
        ("images.gz", 900, True), ("labels.gz", 900, False),
    ]  # fmt: skip


def test_a_dry_run_shows_the_urls_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("cifar10", str(tmp_path / "data"), "--dry-run") == 0
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert file["urls"][0] == "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    assert not (tmp_path / "data").exists()


def test_the_digits_are_bundled_and_those_held_out_become_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    assert exit_code("digits", str(folder), "--dry-run") == 0
    assert json.loads(capsys.readouterr().out)["files"] == [] and not folder.exists()
    assert exit_code("digits", str(folder)) == 0
    told = capsys.readouterr().out
    assert "digits is bundled" in told and f"tfspark-cnn predict MODEL {folder} SCORED" in told
    assert exit_code("digits", str(folder), "--json") == 0
    (file,) = json.loads(capsys.readouterr().out)["files"]
    assert file == {"name": "held_out.parquet", "bytes": (folder / "held_out.parquet").stat().st_size}


def test_a_table_that_cannot_be_written_is_two_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").write_text("a file where the folder should be", encoding="utf-8")
    assert exit_code("digits", str(tmp_path / "data")) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"error: {tmp_path}/data/held_out.parquet cannot be written: File exists",
        "  to do: name a folder that you may write to",
    ]


def test_what_goes_wrong_is_two_lines(mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("mnits", str(tmp_path)) == 2
    assert capsys.readouterr().err.endswith("  to do: did you mean 'mnist'?\n")
    assert exit_code("mnist", str(tmp_path), "--url", "host/mnist") == 2
    assert "expected a URL" in capsys.readouterr().err
    assert exit_code("mnist", str(tmp_path / "data")) == 1
    first, error, cure = capsys.readouterr().err.splitlines()[-3:]
    assert first == "images.gz: nowhere.invalid: its name was not found; is there a network?"
    assert error.startswith("error: could not download images.gz: nowhere.invalid: its name was not found")
    assert cure.startswith("  to do: ") and "by hand, from http://nowhere.invalid/images.gz" in cure


def test_an_interrupt_exits_with_130(mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tfspark_cnn.cli.data.download", interrupted)
    assert exit_code("mnist", str(tmp_path), "--url", mirror) == 130


@pytest.mark.parametrize(
    ("news", "told"),
    [
        (News(PublishedFile("x", 5, ""), Moment.BEGUN, 1234, "http://h/x"), "x: http://h/x, from byte 1,234 on"),
        (News(PublishedFile("x", 5, ""), Moment.FAILED, 0, "h: HTTP 503"), "x: h: HTTP 503"),
        (News(PublishedFile("x", 5, ""), Moment.KEPT, 5), "x: there already"),
        (News(PublishedFile("x", 5, ""), Moment.RECEIVED, 3), ""),
    ],
)
def test_each_thing_that_happens_is_a_line_but_bytes_are_not(news: News, told: str) -> None:
    assert line(news) == told


def test_on_a_terminal_there_are_bars(mirror: str, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert exit_code("mnist", str(tmp_path / "data"), "--url", mirror) == 0
    told = capsys.readouterr().err
    assert "images.gz" in told and "━" in told and "done" not in told
