"""What is told at the end of a run: as a table for people, as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfspark_cnn.errors import ClusterError

if TYPE_CHECKING:
    from rich.table import Table

    from tfspark_cnn.cluster.attempts import AttemptReport
    from tfspark_cnn.cluster.feed_report import FeedReport
    from tfspark_cnn.cluster.step_report import StepReport
    from tfspark_cnn.cluster.verdict import Verdict

EVENT_FILES = "events.out.tfevents.*"


@dataclass(frozen=True)
class RunReport:
    """One finished run.

    Attributes:
        accuracy: of the saved network on the held-out rows, 0 to 1.
        test_rows: how many rows were held out.
        loss: by epoch, over all nodes.
        images: rows trained, over all nodes and epochs.
        rows_per_s: `images` by the seconds of `fit`.
        seconds: of `start`, `feed`, `fit` and `stop`.
        model: path of the saved network.
        event_files: paths of what TensorBoard reads.
        feed: figures of the feed: rows, bytes, who waited for whom, and what bound the run.
        attempts: what became of each life of the cluster.
        steps: each node's own part of a step, and which nodes are stragglers; None for a single node.
        verdict: what bound the run, by how much, and what to turn.
    """

    accuracy: float
    test_rows: int
    loss: tuple[float, ...]
    images: int
    rows_per_s: float
    seconds: Mapping[str, float]
    model: str
    event_files: tuple[str, ...]
    feed: tuple[FeedReport, ...] = ()
    attempts: tuple[AttemptReport, ...] = ()
    steps: StepReport | None = None
    verdict: Verdict | None = None

    def as_dict(self) -> dict[str, Any]:
        """Gives the report as plain values, for JSON."""
        steps = self.steps.as_dict() if self.steps else None
        verdict = self.verdict.as_dict() if self.verdict else None
        return asdict(self) | {"feed": [one.as_dict() for one in self.feed], "steps": steps, "verdict": verdict}

    def why_nothing_was_trained(self, epochs: int, *, folder: Path) -> str:
        """Says so of a run that had no rows left to train.

        Args:
            epochs: that were asked for.
            folder: of the run, whose last checkpoint it went on from.
        """
        return (
            f"nothing was left to train: the last checkpoint in {folder} is of epoch {len(self.loss)}, train.epochs is "
            f"{epochs}; raise it, or set output.dir to another folder to begin anew"
        )

    def as_table(self) -> Table:
        """Gives the report as a table to print."""
        from rich.markup import escape
        from rich.table import Table

        table = Table(show_header=False, title="tfspark-cnn train", title_justify="left")
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")  # a path that is cut off cannot be opened
        for name, value in self._rows():
            table.add_row(name, escape(value))  # a node's name in brackets is no markup
        return table

    def _rows(self) -> list[tuple[str, str]]:
        return [
            ("test accuracy", f"{self.accuracy:.4f} on {self.test_rows} held-out rows"),
            ("loss per epoch", " ".join(f"{value:.4f}" for value in self.loss)),
            ("rows per second", f"{self.rows_per_s:,.0f} ({self.images:,} rows)"),
            *((f"{phase} seconds", f"{seconds:.1f}") for phase, seconds in self.seconds.items()),
            *(("feed", str(one)) for one in self.feed),
            *(("attempt", str(one)) for one in self.attempts if len(self.attempts) > 1 or one.resumed_step),
            *([("steps", str(self.steps))] if self.steps else []),
            *([("verdict", str(self.verdict))] if self.verdict else []),
            ("model", self.model),
            *(("event file", file) for file in self.event_files),
        ]


def summarize(
    results: Sequence[Any],
    *,
    timings: Mapping[str, float],
    images: int = 0,
    log_dir: Path | None = None,
    feed: Sequence[FeedReport] = (),
    attempts: Sequence[AttemptReport] = (),
    steps: StepReport | None = None,
    verdict: Verdict | None = None,
) -> RunReport:
    """Gives the report from what the nodes returned.

    Args:
        results: of `training.job.run`, by node number; nodes without a map_fun, as ps, give None.
        timings: seconds of `start`, `feed` and `stop`.
        images: rows trained as reported while it ran; stands in where no node returned its own.
        log_dir: folder searched for event files.
        feed: of `cluster.feed_reports()`.
        attempts: of `cluster.attempts()`.
        verdict: of `cluster.history()`.
        steps: of `cluster.step_report()`; left out where it has measured nothing, as on a single node.

    Raises:
        ClusterError: No node returned an accuracy.
    """
    nodes = [one for one in results if isinstance(one, Mapping)]
    judged = next((one for one in nodes if "test_accuracy" in one), None)
    if judged is None:
        raise ClusterError(
            f"expected the chief to return a test accuracy, received {len(nodes)} results without one",
            hint="look for the chief's last lines in spark.log in the folder of the run",
        )
    fit_s = max(float(one["fit_s"]) for one in nodes)
    trained = sum(int(one.get("images", 0)) for one in nodes) or images
    return RunReport(
        accuracy=float(judged["test_accuracy"]),
        test_rows=int(judged["test_rows"]),
        loss=tuple(judged["history"].get("loss", ())),
        images=trained,
        rows_per_s=trained / fit_s if fit_s else 0.0,
        seconds=_phases(timings, fit_s),
        model=_short(Path(judged["model"])),
        event_files=_event_files(log_dir),
        feed=tuple(feed),
        attempts=tuple(attempts),
        steps=steps if steps and any(node.steps for node in steps.nodes) else None,
        verdict=verdict,
    )


def _phases(timings: Mapping[str, float], fit_s: float) -> dict[str, float]:
    seconds = {**timings, "fit": fit_s}
    return {phase: float(seconds[phase]) for phase in ("start", "feed", "fit", "stop") if phase in seconds}


def _event_files(log_dir: Path | None) -> tuple[str, ...]:
    return tuple(_short(file) for file in sorted(log_dir.rglob(EVENT_FILES))) if log_dir else ()


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
