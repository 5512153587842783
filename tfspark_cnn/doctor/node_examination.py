"""What a node looks at, inside of its Spark task. Runs in a barrier stage, as nodes do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tfspark_cnn import env
from tfspark_cnn.cluster import ports, supervisor, tf_config
from tfspark_cnn.doctor import clocks, host, shared_folder
from tfspark_cnn.doctor.answering import Answering, ask
from tfspark_cnn.doctor.clocks import Exchange
from tfspark_cnn.doctor.folders import Problem
from tfspark_cnn.doctor.installed import installed
from tfspark_cnn.doctor.limited import Overdue, Within
from tfspark_cnn.doctor.observed import Clock, Gpus, NodeView, Reach

ASKED_AT_ONCE = 16
CLOCK_EXCHANGES = 5
"""The quickest of some is taken: the first one is slow by its connection to a host not heard of for long."""

FOLDER_S = 20.0
"""For `model_dir`: stores of objects try for minutes where they cannot be reached."""

TENSORFLOW_S = 120.0
"""Importing TensorFlow takes up to ten, and many times that where hosts are busy."""


@dataclass(frozen=True)
class NodeExamination:
    """The function of the barrier stage: each task is the node of its partition's number.

    Attributes:
        driver: host and port where the driver answers.
        token: that who answers and asks knows.
        wait_s: for one connection.
        folder: `model_dir`, in which the driver has left its mark; None: not to be looked at.
        gpus: how many a node may use of those that Spark assigned; None: all.
        ask_tensorflow: whether TensorFlow is asked for the GPUs that were assigned.
    """

    driver: tuple[str, int]
    token: str = field(repr=False)
    wait_s: float
    folder: str | None = None
    gpus: int | None = None
    ask_tensorflow: bool = True

    def __call__(self) -> list[NodeView]:
        """Looks."""
        from pyspark import BarrierTaskContext

        return [self._view(BarrierTaskContext.get())]

    def _view(self, context: Any) -> NodeView:
        number = context.partitionId()
        executor = context.getTaskInfos()[number].address
        address = executor.rpartition(":")[0].strip("[]")
        with ExitStack() as stack:
            inbox, cannot_listen = _inbox_socket(address)
            open_ports = {
                "TensorFlow": stack.enter_context(Answering(_tensorflow_socket(), self.token)).port,
                "inbox": stack.enter_context(Answering(inbox, self.token)).port,
            }
            everybody = [json.loads(text) for text in context.allGather(json.dumps([number, address, open_ports]))]
            reached = self._reached([one for one in everybody if one[0] != number])
            driver, clock = self._driver()
            context.barrier()  # others may still be asking us
        return NodeView(
            number,
            address,
            executor=executor,
            host=host.host(),
            installed=installed(),
            reached=reached,
            driver=driver,
            clock=clock,
            disks=host.disks(),
            memory=host.memory(),
            gpus=self._gpus(context.resources()),
            folder=self._folder(number),
            cannot_listen=cannot_listen,
        )

    def _reached(self, others: Sequence[Any]) -> tuple[Reach, ...]:
        wanted = [(peer, purpose, host, port) for peer, host, held in others for purpose, port in held.items()]
        with ThreadPoolExecutor(ASKED_AT_ONCE, thread_name_prefix="tfspark-doctor") as pool:
            return tuple(pool.map(lambda one: self._reach(*one), wanted))

    def _reach(self, peer: int, purpose: str, host: str, port: int) -> Reach:
        answer = ask(host, port, token=self.token, timeout_s=self.wait_s)
        place = f"{host}:{port}"
        if isinstance(answer, str):
            return Reach(peer, purpose, place, problem=answer)
        return Reach(peer, purpose, place, seconds=max(answer.received_s - answer.sent_s, 0.0))

    def _driver(self) -> tuple[Reach, Clock | None]:
        first = self._reach(-1, "coordinator", *self.driver)
        if first.problem:
            return first, None
        answers = [ask(*self.driver, token=self.token, timeout_s=self.wait_s) for _ in range(CLOCK_EXCHANGES)]
        return first, clocks.clock(one for one in answers if isinstance(one, Exchange))

    def _gpus(self, resources: Any) -> Gpus:
        found = tuple(resources["gpu"].addresses) if "gpu" in resources else ()
        assigned = tf_config.visible_devices(found, self.gpus)
        devices = host.gpu_devices()
        if not assigned or not self.ask_tensorflow:
            return Gpus(tuple(assigned), devices)
        return _asked_of_tensorflow(tuple(assigned), devices)

    def _folder(self, number: int) -> Problem | None:
        folder = self.folder
        if folder is None:
            return None
        try:
            return Within(lambda: shared_folder.look(folder, self.token, number)).result(FOLDER_S)
        except Overdue:
            return f"had no answer within {FOLDER_S:g} s", "see that executors reach this storage, with credentials"


def _tensorflow_socket() -> socket.socket:
    """Gives a port as a node reserves it for TensorFlow."""
    return ports.reserve(env.tensorflow_ports()).sock


def _inbox_socket(address: str) -> tuple[socket.socket, str]:
    """Gives a socket where the inbox of a node listens, or elsewhere, and why not there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.bind((address, 0))
    except OSError as error:
        sock.close()
        return ports.hold().sock, error.strerror or str(error)
    return sock, ""


def _asked_of_tensorflow(assigned: tuple[str, ...], devices: int) -> Gpus:
    """Asks in a process of its own: this one is kept by Spark, and would keep TensorFlow and the GPUs' memory."""
    command = supervisor.Command(
        [sys.executable, "-m", "tfspark_cnn.training.devices"],
        stdin=b"",
        environment={
            "CUDA_VISIBLE_DEVICES": ",".join(assigned),
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
    )
    with supervisor.running(command, role="doctor", index=0) as process:
        try:
            outcome = process.wait(timeout_s=TENSORFLOW_S)
        except subprocess.TimeoutExpired:
            return Gpus(assigned, devices, problem=f"it was not imported within {TENSORFLOW_S:g} s")
    if outcome.record is None:
        last = outcome.stderr_tail[-1] if outcome.stderr_tail else f"exit {outcome.exit_code}"
        return Gpus(assigned, devices, problem=last)
    return Gpus(assigned, devices, tensorflow=outcome.record)
