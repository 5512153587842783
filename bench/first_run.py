"""`python -m bench.first_run`: the first five commands of a new user, in a fresh clone, and the time that each takes.

They are those of docs/first-run.md. Each runs in a shell of its own, as typed into a fresh terminal; TensorBoard counts
until its page has come, and is then ended by Ctrl-C. The times go into `bench/results/first_run.json` and from there
into the page. What pip has kept from earlier installs is used, as it would be at a desk.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench import readme
from bench.rounds import RESULTS, machine
from bench.spark import ROOT

PAGE = ROOT / "docs" / "first-run.md"
RESULT = RESULTS / "first_run.json"
REPOSITORY, FOLDER = "REPOSITORY", "tfspark_cnn"
STAMP = Path(".venv") / ".installed"
"""What `make install` writes last, so that it tells when installing ended."""
PAGE_S = 120.0
"""TensorBoard imports for several seconds before it serves."""
NONE_TAKEN = "None were taken yet; `python -m bench.first_run` takes them."
FOREIGN = ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "PYTHONPATH", "VIRTUAL_ENV", "SPARK_HOME")
"""Variables of the environment that this runs in, which a new user has not."""

_URL = re.compile(r"https?://[^\s\x1b]+")


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        command: as it is typed.
        gives: what there is afterwards.
        serves: whether it serves a page until it is interrupted.
    """

    command: str
    gives: str
    serves: bool = False


STEPS = (
    Step(f"git clone {REPOSITORY} {FOLDER} && cd {FOLDER}", "this repository"),
    Step("make train", "Python's packages in `.venv`, and a trained network in `runs/digits`"),
    Step(".venv/bin/tfspark-cnn tensorboard runs/digits", "TensorBoard's page of the training", serves=True),
    Step(".venv/bin/tfspark-cnn data digits data/digits", "the digits that were held out, as a table"),
    Step(
        ".venv/bin/tfspark-cnn predict runs/digits/model/model.keras data/digits runs/digits/scored",
        "the same with `prediction` and `probability`, in `runs/digits/scored`",
    ),
)


@dataclass(frozen=True)
class FirstRun:
    """What was measured.

    Attributes:
        machine: in words.
        seconds: of each step.
        installing_s: the part of the second step in which packages were installed.
    """

    machine: str
    seconds: tuple[float, ...]
    installing_s: float

    @classmethod
    def read(cls, path: Path = RESULT) -> FirstRun | None:
        """Gives what was measured last, or None where nothing was."""
        if not path.exists():
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls(found["machine"], tuple(found["seconds"]), found["installing_s"])

    def table(self) -> str:
        """Gives what stands on the page."""
        timed = zip(STEPS, self.seconds, strict=True)
        rows = [f"| `{step.command}` | {step.gives} | {seconds:.0f} s |" for step, seconds in timed]
        taken = f"{sum(self.seconds):.0f} s in all, {self.installing_s:.0f} s of them for installing"
        said = f"{taken}. Taken on {self.machine}, by `python -m bench.first_run`."
        return "\n".join(["| command | what it gives | time |", "|---|---|---|", *rows, "", said])


def section(found: FirstRun | None) -> str:
    """Gives what stands between the markers of the page."""
    return found.table() if found else NONE_TAKEN


def environment(given: Mapping[str, str], *, own: str) -> dict[str, str]:
    """Gives the variables that a new user has: none of the environment that this runs in.

    Args:
        given: those of this process.
        own: the folder of this interpreter's programs.
    """
    path = os.pathsep.join(part for part in given.get("PATH", "").split(os.pathsep) if part != own)
    return {name: value for name, value in given.items() if name not in FOREIGN} | {"PATH": path}


def run(line: str, folder: Path) -> float:
    """Runs a command; gives the seconds that it took.

    Raises:
        RuntimeError: it failed, with the last lines that it wrote.
    """
    began = time.monotonic()
    with _started(line, folder) as process:
        told, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"expected `{line}` to succeed, it gave {process.returncode}:\n{told[-4000:]}")
    return time.monotonic() - began


def serve(line: str, folder: Path) -> float:
    """Runs a command until the page whose URL it prints has come; gives the seconds until then.

    Raises:
        RuntimeError: it ended before.
    """
    began = time.monotonic()
    with _started(line, folder) as process:
        try:
            urllib.request.urlopen(_url(process, line), timeout=PAGE_S).read()  # noqa: S310  what TensorBoard printed
            return time.monotonic() - began
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.communicate(timeout=PAGE_S)


@contextmanager
def _started(line: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A command in a session of its own, which is gone when this is left."""
    fresh = environment(os.environ, own=str(Path(sys.executable).parent))
    process = subprocess.Popen(
        ["bash", "-c", f"exec 2>&1; {line}"], cwd=folder, env=fresh, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise


def _url(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdout
    told: list[str] = []
    for text in process.stdout:
        told.append(text)
        found = _URL.search(text)
        if found:
            return found[0].rstrip(".,)")
    raise RuntimeError(f"expected `{line}` to print the URL that it serves, it ended:\n{''.join(told)[-4000:]}")


def measured(repository: str, work: Path) -> FirstRun:
    """Takes all steps, in a folder that is empty."""
    clone, seconds = work / FOLDER, list[float]()
    began = time.time()
    for number, step in enumerate(STEPS):
        line, folder = (step.command.replace(REPOSITORY, repository), work) if number == 0 else (step.command, clone)
        began = time.time() if number <= 1 else began
        seconds.append(round((serve if step.serves else run)(line, folder), 1))
        sys.stderr.write(f"{seconds[-1]:7.1f} s  {step.command}\n")
    installing_s = (clone / STAMP).stat().st_mtime - began
    return FirstRun(machine(), tuple(seconds), round(installing_s, 1))


def fill(found: FirstRun | None, page: Path = PAGE) -> None:
    """Writes the table into the page."""
    page.write_text(readme.updated(page.read_text(encoding="utf-8"), section(found)), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Takes the times, and writes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", default=ROOT.as_uri(), help="what is cloned; this one, as it was committed")
    parser.add_argument("--dry", action="store_true", help="print, and write nothing")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # where we run in the background, commands would ignore it
    with tempfile.TemporaryDirectory(prefix="first-run-") as work:
        found = measured(given.repository, Path(work))
    sys.stdout.write(found.table() + "\n")
    if not given.dry:
        RESULT.write_text(json.dumps(asdict(found), indent=2) + "\n", encoding="utf-8")
        fill(found)


if __name__ == "__main__":
    main()
