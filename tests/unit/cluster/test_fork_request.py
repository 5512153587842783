from __future__ import annotations

import os
import socket

import pytest

from tfspark_cnn.cluster.fork_request import Request, user_of


def test_a_request_is_read_as_it_was_written_and_may_be_read_again() -> None:
    request = Request("worker:1", 12, "module:function", {"NAME": "a\udc80=b\n", "EMPTY": ""}, [0, 1, 2, 17])
    descriptor = request.write()
    try:
        assert Request.read(descriptor) == Request.read(descriptor) == request
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"name": "x", "other": 1}', b"\xff"])
def test_what_is_no_request_is_refused(text: bytes) -> None:
    descriptor = os.memfd_create("test")
    os.write(descriptor, text)
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        with pytest.raises((ValueError, TypeError)):
            Request.read(descriptor)
    finally:
        os.close(descriptor)


def test_the_kernel_tells_who_is_at_the_other_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        assert user_of(ours) == os.getuid()
