"""Who may use a folder of checkpoints, and what it continues."""

from __future__ import annotations

import socket
import time

import pytest

from tfspark_cnn.checkpoints.ownership import Claim, RunRecord, answers, check_run_id, claim_of, is_contested
from tfspark_cnn.errors import CheckpointError

DIED = RunRecord("b", "a", "driver:1")
ENDED = RunRecord("b", "a", "driver:1", ended=True)


@pytest.mark.parametrize(
    ("found", "run", "contested", "claim"),
    [
        pytest.param(None, "c", False, Claim(False, "c"), id="nothing there: begin"),
        pytest.param(DIED, "c", True, Claim(True, "a"), id="another died: continue its lineage"),
        pytest.param(ENDED, "c", False, Claim(False, "c"), id="another ended: begin"),
        pytest.param(DIED, "b", False, Claim(True, "a"), id="next attempt of the same run: continue"),
        pytest.param(ENDED, "b", False, Claim(True, "a"), id="the same run after its end: continue"),
    ],
)
def test_what_a_run_gets(found: RunRecord | None, run: str, contested: bool, claim: Claim) -> None:
    assert is_contested(found, {run}) is contested
    assert claim_of(found, run, {run}) == claim


@pytest.mark.parametrize("found", [DIED, ENDED])
def test_a_run_goes_on_with_its_own_attempts_before_even_where_they_ended(found: RunRecord) -> None:
    assert not is_contested(found, {"c", "b"})
    assert claim_of(found, "c", {"c", "b"}) == Claim(True, "a")


def test_a_record_comes_back_as_it_was() -> None:
    assert RunRecord.from_json(ENDED.to_json()) == ENDED


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"run": "a"}', b"\xff"])
def test_a_record_that_is_none_says_what_to_do(body: bytes) -> None:
    with pytest.raises(CheckpointError, match="expected run.json to say whose") as caught:
        RunRecord.from_json(body)
    assert caught.value.hint == "delete the checkpoints folder, or use another model_dir"


@pytest.mark.parametrize("run", ["", "a/b", "a.b", "a b", "é", "x" * 101])
def test_the_name_of_a_run_is_part_of_file_names(run: str) -> None:
    with pytest.raises(CheckpointError, match="expected the name of a run"):
        check_run_id(run)


def test_an_open_port_answers_and_a_closed_one_does_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert answers(address)
    assert not answers(address)


@pytest.mark.parametrize("address", ["", "nonsense", "host:", "host:port", "127.0.0.1:99999", "no-such-host.invalid:1"])
def test_what_is_no_address_does_not_answer(address: str) -> None:
    assert not answers(address)


def test_a_host_that_says_nothing_is_given_up() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        # The kernel takes one connection above the backlog, and lets all others wait.
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        begin = time.monotonic()
        assert not answers(f"127.0.0.1:{address[1]}", within_s=0.2)
        assert time.monotonic() - begin < 2
        for one in waiting:
            one.close()
