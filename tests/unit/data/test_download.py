"""Downloads from a real server on the loopback: whole, broken off, wrong, slow, refused; and what is left behind."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tfspark_cnn.data.download import Moment, News, download
from tfspark_cnn.data.published import Published, PublishedFile
from tfspark_cnn.data.transfer import TRIES, Part
from tfspark_cnn.errors import ConfigError, CorruptFileError, SourceError

BODY = bytes(range(256)) * 4096  # 1 MiB, more than a block
OTHER = b"another file"
TIMEOUT_S = 5.0

Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers by what the first part of the path names."""

    def do_GET(self) -> None:
        """Answers."""
        self.server.asked.append((self.path, self.headers.get("Range")))  # type: ignore[attr-defined]
        ANSWERS[self.path.split("/")[1]](self)

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    @property
    def start(self) -> int:
        asked = self.headers.get("Range")
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0

    def head(self, status: int, size_bytes: int, **more: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(size_bytes))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def whole(self, body: bytes = BODY) -> None:
        self.head(200, len(body))
        self.wfile.write(body)

    def ranged(self, sent_bytes: int = len(BODY)) -> None:
        """Sends the rest, and no more than so many bytes of it."""
        self.head(206 if self.start else 200, len(BODY) - self.start,
                  Content_Range=f"bytes {self.start}-{len(BODY) - 1}/{len(BODY)}")  # fmt: skip
        self.wfile.write(BODY[self.start : self.start + sent_bytes])

    def without_range(self, sent_bytes: int) -> None:
        self.head(200, len(BODY))
        self.wfile.write(BODY[:sent_bytes])

    def endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        with pytest.raises(OSError):  # until the other side has had enough
            while True:
                self.wfile.write(BODY)

    def silent(self) -> None:
        self.server.over.wait(TIMEOUT_S * 2)  # type: ignore[attr-defined]


ANSWERS: dict[str, Answer] = {
    "whole": Handler.whole,
    "halves": lambda one: one.ranged(len(BODY) // 2),
    "drops": lambda one: one.ranged(len(BODY) // 100),
    "no-range": lambda one: one.without_range(len(BODY) // 2),
    "wrong": lambda one: one.whole(BODY[::-1]),
    "short": lambda one: one.whole(OTHER),
    "endless": Handler.endless,
    "missing": lambda one: one.send_error(404),
    "ill": lambda one: one.send_error(503),
    "ranged": Handler.ranged,
    "out-of-range": lambda one: one.send_error(416) if one.start else one.whole(),
    "silent": Handler.silent,
}


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        made.over = threading.Event()  # type: ignore[attr-defined]
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.over.set()  # type: ignore[attr-defined]
        made.shutdown()
        thread.join()


@pytest.fixture
def at(server: ThreadingHTTPServer) -> Callable[[str], str]:
    server.asked = []  # type: ignore[attr-defined]
    return lambda name: f"http://127.0.0.1:{server.server_address[1]}/{name}/"


def published(name: str, body: bytes = BODY) -> PublishedFile:
    return PublishedFile(name, len(body), hashlib.sha256(body).hexdigest())


def fetch(folder: Path, *places: str, names: tuple[str, ...] = ("x.gz",), timeout_s: float = TIMEOUT_S) -> list[News]:
    news: list[News] = []
    source = Published(places, tuple(published(name) for name in names))
    download(source, folder, tell=news.append, timeout_s=timeout_s)
    return news


def begun(folder: Path, data: bytes) -> None:
    (folder / "x.gz.part").write_bytes(data)


def moments(news: list[News]) -> list[str]:
    return [one.moment for one in news if one.moment != Moment.RECEIVED]


def names_in(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.iterdir())


def test_a_file_comes_whole_into_a_folder_that_is_made_and_is_kept_the_next_time(tmp_path: Path, at, server) -> None:
    folder = tmp_path / "deep" / "down"
    news = fetch(folder, at("whole"))
    assert moments(news) == ["begun", "done"]
    assert [one.done_bytes for one in news if one.moment == Moment.RECEIVED][-1] == len(BODY)
    assert (folder / "x.gz").read_bytes() == BODY and names_in(folder) == ["x.gz"]
    assert moments(fetch(folder, at("missing"))) == ["kept"]
    assert len(server.asked) == 1, "the second asks nobody"


@pytest.mark.parametrize(
    ("place", "ranges"),
    [("ranged", ["bytes=1000-"]), ("whole", ["bytes=1000-"]), ("halves", ["bytes=1000-", "bytes=525288-"]),
     ("out-of-range", ["bytes=1000-", None])],
)  # fmt: skip
def test_what_was_broken_off_goes_on_where_the_server_can_and_else_anew(
    place: str, ranges: list[str | None], tmp_path: Path, at, server
) -> None:
    begun(tmp_path, BODY[:1000])
    fetch(tmp_path, at(place))
    assert (tmp_path / "x.gz").read_bytes() == BODY
    assert [asked for _, asked in server.asked] == ranges


def test_a_part_of_another_file_is_found_out_by_the_sum_and_comes_anew(tmp_path: Path, at, server) -> None:
    begun(tmp_path, b"x" * 1000)
    fetch(tmp_path, at("ranged"))
    assert (tmp_path / "x.gz").read_bytes() == BODY
    assert [asked for _, asked in server.asked] == ["bytes=1000-", None]


@pytest.mark.parametrize("held", [BODY, BODY + b"more"])
def test_a_part_that_is_whole_needs_its_name_alone_and_one_that_is_too_long_comes_anew(
    held: bytes, tmp_path: Path, at, server
) -> None:
    begun(tmp_path, held)
    fetch(tmp_path, at("whole"))
    assert (tmp_path / "x.gz").read_bytes() == BODY
    assert len(server.asked) == (held != BODY)


def test_a_server_that_breaks_off_again_and_again_leaves_what_it_sent(tmp_path: Path, at, server) -> None:
    with pytest.raises(SourceError, match=r"could not download x.gz: 127.0.0.1: it broke off 4 times.* of 1,048,576"):
        fetch(tmp_path, at("drops"))
    assert (tmp_path / "x.gz.part").read_bytes() == BODY[: TRIES * (len(BODY) // 100)]
    assert len(server.asked) == TRIES and names_in(tmp_path) == ["x.gz.part"]


def test_a_server_that_breaks_off_and_knows_no_range_is_given_up(tmp_path: Path, at) -> None:
    with pytest.raises(SourceError, match=r"it broke off after 524,288 of 1,048,576 bytes"):
        fetch(tmp_path, at("no-range"))
    assert (tmp_path / "x.gz.part").read_bytes() == BODY[: len(BODY) // 2]


@pytest.mark.parametrize(("place", "received"), [("wrong", "1,048,576"), ("endless", "more than 1,048,576")])
def test_other_bytes_are_refused_with_both_sums_and_are_not_left(place: str, received: str, tmp_path: Path, at) -> None:
    with pytest.raises(CorruptFileError) as caught:
        fetch(tmp_path, at(place))
    expected = hashlib.sha256(BODY).hexdigest()
    assert f"x.gz: 127.0.0.1: expected 1,048,576 bytes with sha256 {expected}, received {received} with " in str(
        caught.value
    )
    assert names_in(tmp_path) == []


def test_a_file_of_another_size_is_refused_before_it_takes_the_place_of_what_was_begun(tmp_path: Path, at) -> None:
    begun(tmp_path, BODY[:1000])
    with pytest.raises(CorruptFileError, match="expected a file of 1,048,576 bytes, received one of 12"):
        fetch(tmp_path, at("short"))
    assert (tmp_path / "x.gz.part").read_bytes() == BODY[:1000]


@pytest.mark.parametrize(
    ("place", "why"),
    [("missing", "HTTP 404 Not Found"), ("ill", "HTTP 503 Service Unavailable"), ("wrong", "expected 1,048,576 bytes"),
     ("short", "expected a file of 1,048,576 bytes, received one of 12")],
)  # fmt: skip
def test_the_next_place_is_tried_and_comes_first_for_the_next_file(
    place: str, why: str, tmp_path: Path, at, server
) -> None:
    news = fetch(tmp_path, at(place), at("ranged"), names=("x.gz", "y.gz"))
    assert moments(news) == ["begun", "failed", "begun", "done", "begun", "done"]
    (failed,) = [one.text for one in news if one.moment == Moment.FAILED]
    assert failed.startswith("127.0.0.1: ") and why in failed
    assert [path for path, _ in server.asked][-1] == "/ranged/y.gz"
    assert names_in(tmp_path) == ["x.gz", "y.gz"]


def test_where_no_place_has_it_all_are_named_with_what_to_do_by_hand(tmp_path: Path, at) -> None:
    with pytest.raises(SourceError, match=r"127.0.0.1: it answered HTTP 404 Not Found; .*HTTP 503") as caught:
        fetch(tmp_path, at("missing"), at("ill"))
    assert f"put the file into {tmp_path} by hand, from {at('missing')}x.gz or {at('ill')}x.gz" in caught.value.cure
    assert names_in(tmp_path) == []


def test_a_server_that_is_silent_is_given_up_after_the_timeout(tmp_path: Path, at) -> None:
    with pytest.raises(SourceError, match=r"127.0.0.1: no answer within 0.2 s"):
        fetch(tmp_path, at("silent"), timeout_s=0.2)


def test_a_host_to_which_no_connection_comes_about_is_given_up_after_the_timeout(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # more than the backlog takes: whoever comes now is not let in
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        try:
            with pytest.raises(SourceError, match=r"no answer within 0.2 s"):
                fetch(tmp_path, f"http://127.0.0.1:{full.getsockname()[1]}/", timeout_s=0.2)
        finally:
            for one in waiting:
                one.close()


def test_without_a_network_the_host_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        place = f"http://127.0.0.1:{gone.getsockname()[1]}/"
    with pytest.raises(SourceError, match=r"127.0.0.1: Connection refused; nowhere.invalid: its name was not found"):
        fetch(tmp_path, place, "http://nowhere.invalid/")


def test_a_folder_is_a_mirror_too(tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "x.gz").write_bytes(BODY)
    fetch(tmp_path / "here", (tmp_path / "mirror").as_uri() + "/")
    assert (tmp_path / "here" / "x.gz").read_bytes() == BODY
    with pytest.raises(SourceError, match=r"could not download y.gz: file:.*No such file"):
        fetch(tmp_path / "here", (tmp_path / "mirror").as_uri() + "/", names=("y.gz",))


def test_an_interrupt_leaves_the_part_alone_and_the_next_download_goes_on(tmp_path: Path, at, server) -> None:
    def interrupt(news: News) -> None:
        if news.done_bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(Published((at("ranged"),), (published("x.gz"),)), tmp_path, tell=interrupt)
    assert names_in(tmp_path) == ["x.gz.part"]
    fetch(tmp_path, at("ranged"))
    assert (tmp_path / "x.gz").read_bytes() == BODY and server.asked[-1][1] is not None


def test_a_file_with_another_sum_is_replaced_and_one_of_another_source_is_not(tmp_path: Path, at) -> None:
    (tmp_path / "x.gz").write_bytes(OTHER)
    source = Published((at("whole"),), (published("x.gz"),))
    owners = {published("x.gz", OTHER).sha256: "fashion_mnist", published("x.gz").sha256: "mnist"}
    with pytest.raises(ConfigError, match=r"x.gz is a file of fashion_mnist, .*\n.*choose another folder"):
        download(source, tmp_path, tell=lambda news: None, owners=owners)
    assert (tmp_path / "x.gz").read_bytes() == OTHER
    download(source, tmp_path, tell=lambda news: None)
    assert (tmp_path / "x.gz").read_bytes() == BODY


def test_a_wrong_file_stays_until_the_right_one_has_come(tmp_path: Path, at) -> None:
    (tmp_path / "x.gz").write_bytes(OTHER)
    with pytest.raises(SourceError):
        fetch(tmp_path, at("missing"))
    assert (tmp_path / "x.gz").read_bytes() == OTHER


def test_too_little_room_is_known_before_anything_is_asked(tmp_path: Path, at, server) -> None:
    begun(tmp_path, BODY[: len(BODY) // 2])
    source = Published((at("whole"),), (published("x.gz"),))
    with pytest.raises(SourceError, match=r"expected room for 0.5 MB in .*, received 0.4 MB\n.*make room"):
        download(source, tmp_path, tell=lambda news: None, free_bytes=lambda folder: 400_000)
    assert server.asked == []


def test_a_disk_that_is_full_meanwhile_is_no_failure_of_the_server(tmp_path: Path, at, server) -> None:
    (tmp_path / "x.gz.part").symlink_to("/dev/full")
    with pytest.raises(SourceError, match=r"could not write .*x.gz.part: No space left on device\n.*make room"):
        fetch(tmp_path, at("whole"), at("ranged"))
    assert len(server.asked) == 1


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, at) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SourceError, match=r"could not make the folder .*file/data: Not a directory"):
        fetch(tmp_path / "file" / "data", at("whole"))


def test_two_downloads_of_one_file_do_not_write_into_each_other(tmp_path: Path, at) -> None:
    with Part(tmp_path / "x.gz"):
        with pytest.raises(SourceError, match=r"x.gz.part is being written by another process"):
            fetch(tmp_path, at("whole"))


@pytest.mark.parametrize("place", ["ftp://host/x/", "/data/mnist/", "https:///x/", "mirror.org/"])
def test_a_place_that_is_no_url_is_refused_before_anything_is_made(place: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected a URL with http://, https:// or file://"):
        fetch(tmp_path / "new", place)
    assert not (tmp_path / "new").exists()
