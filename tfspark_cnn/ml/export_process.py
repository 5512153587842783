"""A process with TensorFlow that converts a network, and what is said between it and the driver: three files."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfspark_cnn import env
from tfspark_cnn.errors import ExportError, TFSparkError, by_name
from tfspark_cnn.feed.columns import Column
from tfspark_cnn.ml.saved_network import Answer

log = logging.getLogger(__name__)

PROGRAM = "tfspark_cnn.training.export"
"""By name, since importing it would import TensorFlow."""

NETWORK, REQUEST, REFUSAL, STDERR, MADE = "network.keras", "request.json", "refusal.json", "stderr.txt", "made"

LIMIT_S = 900.0
"""TensorFlow is imported in 3 to 30 s, and a network of 24 million weights is converted in less than that."""

LEFT_ALONE = 75
"""Exit status of a process that ends because nobody waits for it any more (EX_TEMPFAIL)."""

_TAIL_LINES = 20
_QUIET = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2"}
"""It computes next to nothing: GPUs are left to those who do."""


@dataclass(frozen=True)
class Request:
    """What to make of a network.

    Attributes:
        format: `saved_model` or `onnx`.
        column: of images; None: as the network takes them.
        labels: names of the classes.
        answer: what the outputs are; None: by the network's last layer.
    """

    format: str
    column: Column | None = None
    labels: tuple[str, ...] | None = None
    answer: Answer | None = None

    def to_json(self) -> str:
        """Gives it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Request:
        """Reads what `to_json` gives."""
        found: dict[str, Any] = json.loads(text)
        column, labels, answer = found["column"], found["labels"], found["answer"]
        return cls(
            found["format"],
            None if column is None else Column(**column),
            None if labels is None else tuple(labels),
            None if answer is None else Answer(answer),
        )


def converted(request: Request, network: bytes, *, folder: Path) -> Path:
    """Gives the local file or folder that a network was converted into.

    Args:
        request: into what.
        network: bytes of the `.keras` file.
        folder: an empty one, for all files.

    Raises:
        ExportError: it failed, with the last lines the process wrote, or took too long.
        ConfigError: what is known of the network is wrong.
    """
    (folder / NETWORK).write_bytes(network)
    (folder / REQUEST).write_text(request.to_json(), encoding="utf-8")
    log.info("converting a network of %.1f MB to %s beside this process", len(network) / 1e6, request.format)
    status = run([sys.executable, "-m", PROGRAM, os.fspath(folder)], stderr=folder / STDERR, limit_s=LIMIT_S)
    if status != 0:
        raise _failed(folder, status, request.format)
    return folder / MADE


def run(argv: Sequence[str], *, stderr: Path, limit_s: float) -> int:
    """Runs a program, gives its exit status, and ends it where this process stops waiting or ends.

    Args:
        argv: the program; it is to end when its stdin does.
        stderr: a file for what it writes there; its temporary files come beside it.
        limit_s: to wait for it.

    Raises:
        ExportError: it took longer.
    """
    path = os.pathsep.join(one for one in sys.path if one)
    environment = env.child_environment({**_QUIET, "PYTHONPATH": path, "TMPDIR": os.fspath(stderr.parent)})
    with (
        stderr.open("wb") as written,
        subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=written, env=environment
        ) as process,
    ):
        try:
            return process.wait(limit_s)
        except subprocess.TimeoutExpired as error:
            raise ExportError(
                f"expected a network to be converted within {limit_s:.0f} s, and the process is at it still:\n"
                f"{_tail(stderr)}",
                hint="is this machine out of memory? A .keras file can be exported on another: tfspark-cnn export",
            ) from error
        finally:
            process.kill()


def end_with_stdin(folder: Path) -> None:
    """Ends this process when its stdin does: who waits for it is gone. What that one would have removed goes, too."""
    with contextlib.suppress(OSError):
        os.read(0, 1)  # sys.stdin has a lock, without which this process could not end
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(LEFT_ALONE)


def _failed(folder: Path, status: int, format: str) -> TFSparkError:
    if (folder / REFUSAL).exists():
        name, message, hint = json.loads((folder / REFUSAL).read_text(encoding="utf-8"))
        return (by_name(name) or ExportError)(message, hint=hint)
    return ExportError(
        f"the network could not be converted to {format}: the process ended with status {status}\n"
        f"{_tail(folder / STDERR)}",
        hint="its last lines above say why; classes of your own must be importable there, and registered with Keras",
    )


def _tail(stderr: Path) -> str:
    return "\n".join(stderr.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:])
