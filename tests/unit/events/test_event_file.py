"""The file of events: written as things happen, read back, and never in the way of the training."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest

from tfspark_cnn.errors import CorruptFileError, SourceError
from tfspark_cnn.events import Event, Kind, read, writer
from tfspark_cnn.events.writer import EventFile, path_of

EVENTS = [Event(float(second), Kind.CHECKPOINT, "chief:0", {"step": second}) for second in range(5)]


def written(folder: Path, run: str = "a") -> Path:
    file = EventFile(path_of(str(folder), run))
    for event in EVENTS:
        file.add(event)
    file.close()
    return file.path


def test_what_is_written_is_read_back_by_file_and_by_folder(tmp_path: Path) -> None:
    path = written(tmp_path / "not yet" / "there")
    assert read(path) == read(path.parent) == EVENTS


def test_each_event_is_in_the_file_before_the_next_comes(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "events-a.jsonl")
    file.add(EVENTS[0])
    deadline = threading.Event()
    while not (file.path.exists() and file.path.read_text()):
        assert not deadline.wait(0.01)
    assert read(file.path) == EVENTS[:1]
    file.close()


def test_of_several_runs_in_a_folder_the_newest_is_read(tmp_path: Path) -> None:
    old = written(tmp_path, "b")
    os.utime(old, (1, 1))
    new = EventFile(path_of(str(tmp_path), "a"))
    new.add(EVENTS[3])
    new.close()
    assert read(tmp_path) == EVENTS[3:4]


def test_the_line_that_a_killed_driver_left_half_written_is_no_error(tmp_path: Path) -> None:
    path = written(tmp_path)
    with path.open("a") as file:
        file.write('{"time": 9, "kind": "sto')
    assert read(path) == EVENTS


def test_a_broken_line_in_the_middle_is_told_with_its_number(tmp_path: Path) -> None:
    path = written(tmp_path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], "broken", *lines[2:]]) + "\n")
    with pytest.raises(CorruptFileError, match="line 3"):
        read(path)


def test_events_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    file = EventFile(tmp_path / "events-a.jsonl")
    for event in reversed(EVENTS):
        file.add(event)
    file.close()
    assert read(file.path) == EVENTS


def test_a_folder_or_file_without_events_is_an_error_that_says_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no events-\*\.jsonl.*\n.*log_dir"):
        read(tmp_path)
    with pytest.raises(SourceError, match="No such file"):
        read(tmp_path / "none.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device of a full disk is Linux's")
def test_a_full_disk_is_a_warning_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    file = EventFile(Path("/dev/full"))
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            file.add(EVENTS[0])
        file.close()
    (record,) = caplog.records
    assert "No space left" in record.getMessage() and "the training goes on" in record.getMessage()


def test_a_disk_that_stands_still_holds_nobody_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "CLOSE_S", 0.1)
    pipe = tmp_path / "events-a.jsonl"
    os.mkfifo(pipe)  # to open it waits for a reader
    file = EventFile(pipe)
    for _ in range(writer.WAITING + 10):
        file.add(EVENTS[0])
    file.close()
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "the disk is slower than the run; the training goes on"
    ]
    with pipe.open("rb") as reader:  # now it can end
        file.close()
        while reader.read(1 << 20):
            pass


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    file = EventFile(tmp_path / "file" / "events-a.jsonl")
    file.add(EVENTS[0])
    file.close()
    assert len(caplog.records) == 1
