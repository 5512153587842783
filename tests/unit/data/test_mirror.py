"""Event files that are copied while they grow."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

import pytest

from tfspark_cnn.data.mirror import Mirror, Mirroring, Seen, planned
from tfspark_cnn.errors import SourceError

EVENTS = "chief-0/train/events.out.tfevents.1.host"


def write(path: Path, content: bytes, *, at_ns: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if at_ns:
        os.utime(path, ns=(at_ns, at_ns))


def files(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_what_is_new_is_copied_and_what_is_not_stays(tmp_path: Path) -> None:
    source, target = tmp_path / "from", tmp_path / "to"
    mirror = Mirror(f"file://{source}", str(target))
    assert mirror.refresh() == 0, "the folder may come later"
    write(source / EVENTS, b"one", at_ns=1)
    write(source / "plugins/profile/a.xplane.pb", b"trace", at_ns=1)
    assert mirror.refresh() == 2
    (target / EVENTS).write_bytes(b"ONE")  # shows what is written from here on
    write(source / EVENTS, b"one, two", at_ns=2)
    write(source / "plugins/profile/a.xplane.pb", b"other", at_ns=2)
    assert (mirror.refresh(), mirror.refresh()) == (2, 0)
    assert files(target) == {EVENTS: b"ONE, two", "plugins/profile/a.xplane.pb": b"other"}
    write(source / EVENTS, b"new", at_ns=3)
    assert mirror.refresh() == 1 and files(target)[EVENTS] == b"new", "it was begun anew"


def test_the_newest_files_have_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2, 3):
        write(tmp_path / "from" / f"{number}", bytes(10), at_ns=number)
    mirror = Mirror(str(tmp_path / "from"), str(tmp_path / "to"), limit_bytes=25)
    with caplog.at_level(logging.WARNING):
        assert mirror.refresh() == 2 and mirror.refresh() == 0
    assert sorted(files(tmp_path / "to")) == ["2", "3"]
    assert caplog.text.count("1 older files of") == 1


def test_a_file_that_has_no_room_leaves_it_to_smaller_ones() -> None:
    large, small = Seen("large", 30, 9), Seen("small", 5, 1)
    plan = planned([small, large], {}, limit_bytes=20)
    assert (plan.copied, plan.left_out) == ((small,), (large,))


def test_it_follows_in_the_background_and_outward_has_a_last_look(tmp_path: Path) -> None:
    far = tmp_path / "far"
    with Mirroring(f"file://{far}", outward=True, every_s=3600) as mirror:
        write(Path(mirror.folder) / EVENTS, b"one")
    assert files(far) == {EVENTS: b"one"} and not os.path.exists(mirror.folder)
    with Mirroring(f"file://{far}", every_s=0.01) as mirror:
        assert files(Path(mirror.folder)) == {EVENTS: b"one"}
        write(far / EVENTS, b"one, two")
        waited = threading.Event()
        for _ in range(1000):
            if files(Path(mirror.folder)) == {EVENTS: b"one, two"} or waited.wait(0.01):
                break
        assert files(Path(mirror.folder)) == {EVENTS: b"one, two"}


def test_a_place_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="could not write file://"):
        Mirroring(f"file://{tmp_path}/file/logs", outward=True, within=str(tmp_path))
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
