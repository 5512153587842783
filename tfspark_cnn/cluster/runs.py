"""The life of independent runs as a function of events: which begins where, how often, and what became of it.

No sockets, threads or clocks. The run coordinator holds one `Runs` behind its lock and sends what it returns.

    waiting ── a task asks ──> held ── its result is home ──────────────────> done
       ^                        ├───── map_fun raised, its process ended ───> done, failed
       └── retries are left ────┴───── a signal ended it, its task is lost ──┘
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from tfspark_cnn.cluster.messages import Abort, Entered, Failed, Leave, Message, Returned, RunEnded
from tfspark_cnn.cluster.topology import Topology
from tfspark_cnn.errors import ClusterError

LOST_S = 2.0
"""How long, after the line of a run's process broke, its supervisor may take to say why; it needs well under 0.3 s."""


class Answer(StrEnum):
    """What a Spark task that asks for a run is to do."""

    BEGIN = "begin"
    WAIT = "wait"  # for the other try of the same task, which has the run
    NOTHING = "nothing"  # the run is done, or nobody wants it any more


@dataclass
class Run:
    """What is known of one run.

    Attributes:
        number: of the run.
        begun: how often.
        holder: Spark's number of the task that has it, or None.
        host: where it is, or was.
        since_s: when it began there.
        pid: of its process, once map_fun was entered.
        returned: whether its map_fun has returned there.
        broken_s: when the line of its process broke, or None.
        result: what map_fun returned, pickled.
        failure: why it failed.
    """

    number: int
    begun: int = 0
    holder: int | None = None
    host: str = ""
    since_s: float = 0.0
    pid: int | None = None
    returned: bool = False
    broken_s: float | None = None
    result: bytes | None = field(default=None, repr=False)
    failure: Failed | None = None

    @property
    def done(self) -> bool:
        """Whether it is known what became of it."""
        return self.result is not None or self.failure is not None


@dataclass
class Runs:
    """The state machine.

    Attributes:
        count: how many runs there are.
        retries: how often one may begin again after it was lost.
        speculative: whether Spark may try a task twice at the same time. If not, another try says that the one before
            is lost.
    """

    count: int
    retries: int = 0
    speculative: bool = False
    abort_reason: str | None = None
    said: list[str] = field(default_factory=list)
    by_number: dict[int, Run] = field(init=False)
    topology: Topology = field(init=False)

    def __post_init__(self) -> None:
        self.by_number = {number: Run(number) for number in range(self.count)}
        self.topology = Topology.of_runs(range(self.count))

    # --- what tasks say ----------------------------------------------------------------------------------------------

    def ask(self, number: int, *, task: int, host: str, now_s: float) -> tuple[Answer, list[Message]]:
        """Says what a task that asks for a run is to do, and gives the messages that follow.

        Raises:
            ClusterError: there is no such run.
        """
        run, news = self._run(number), list[Message]()
        if run.holder is not None and not run.done:
            if self.speculative:
                return Answer.WAIT, []
            news = [Abort(number, "Spark has lost the task of this run, and tries it again")]
            self._lose(run)
        if run.done or self.abort_reason is not None:
            return Answer.NOTHING, news
        run.begun += 1
        run.holder, run.host, run.since_s = task, host, now_s
        run.pid, run.returned, run.broken_s = None, False, None
        return Answer.BEGIN, news

    def home(self, number: int, *, task: int, result: bytes) -> None:
        """Takes what map_fun returned; of a task that has lost the run meanwhile, it is dropped."""
        run = self._run(number)
        if run.holder == task and not run.done:
            run.holder, run.result = None, result
            self.said.append(f"[{self.name(number)}] returned: {self._how_many()}")

    def handle(self, event: Message) -> list[Message]:
        """Applies a message of a run's process or task and gives the messages that follow from it.

        What nodes of a cluster tell beside is of no interest here.

        Raises:
            ClusterError: there is no such run, or its failure cannot be read.
        """
        run = self._run(event.node)
        handler = self._handlers.get(type(event))
        return [] if handler is None else handler(self, run, event)

    def _entered(self, run: Run, event: Entered) -> list[Message]:
        run.pid = event.pid
        self.said.append(f"[{self.name(run.number)}] runs on {run.host} as process {event.pid}")
        return []

    def _returned(self, run: Run, event: Returned) -> list[Message]:
        run.returned = True
        return [Leave(run.number)]  # nobody else needs it

    def _ended(self, run: Run, event: RunEnded) -> list[Message]:
        if run.holder != event.task or run.done:
            return []
        if event.failure is None:
            self._lose(run)
            return []
        failure = _as_failed(event)
        if failure.signal and failure.error is None:  # map_fun has not ended by itself
            self._lose(run, failure)
        else:
            self._fail(run, failure)
        return []

    _handlers: ClassVar[dict[type[Message], Callable[[Runs, Run, Any], list[Message]]]] = {
        Entered: _entered,
        Returned: _returned,
        RunEnded: _ended,
    }

    # --- what becomes of it ------------------------------------------------------------------------------------------

    def broken(self, number: int, *, now_s: float) -> None:
        """Takes note that the line of a run's process broke."""
        run = self._run(number)
        if run.holder is not None and not run.done and not run.returned:
            run.broken_s = now_s

    def expire(self, now_s: float) -> None:
        """Gives up runs whose line broke and of whose end nobody has told since."""
        for run in self.by_number.values():
            if run.broken_s is not None and run.holder is not None and now_s - run.broken_s >= LOST_S:
                self._lose(run)

    def abort(self, reason: str) -> list[Message]:
        """Ends all runs that are not done; none begins any more."""
        if self.abort_reason is not None:
            return []
        self.abort_reason = reason
        return [Abort(run.number, reason) for run in self.by_number.values() if run.holder is not None]

    def _lose(self, run: Run, failure: Failed | None = None) -> None:
        """The process of a run was ended from outside, or its Spark task is gone."""
        run.holder, run.broken_s = None, None
        if self.abort_reason is not None:
            return
        failure = failure or lost(run)
        if run.begun > self.retries:
            self._fail(run, failure)
            return
        left = self.retries - run.begun
        self.said.append(f"[{self.name(run.number)}] {failure.message}; it begins again, {left} retries are left")

    def _fail(self, run: Run, failure: Failed) -> None:
        run.holder, run.failure = None, failure
        self.said.append(f"[{self.name(run.number)}] failed, {failure.message}: {self._how_many()}")

    # --- looking at it -----------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether it is known of all runs what became of them."""
        return all(run.done for run in self.by_number.values())

    @property
    def failures(self) -> list[Failed]:
        """Why runs failed, in their order."""
        return [run.failure for run in self.by_number.values() if run.failure is not None]

    def name(self, number: int) -> str:
        """Gives the name of a run, as `run:3`."""
        return self.topology.nodes[number].name

    def where(self, number: int, *, now_s: float) -> str:
        """Says where a run that is not done stands."""
        run = self.by_number[number]
        if run.holder is not None:
            return f"{self.name(number)} (on {run.host} for {now_s - run.since_s:.0f} s)"
        return f"{self.name(number)} ({'lost, not begun again' if run.begun else 'no slot yet'})"

    def _how_many(self) -> str:
        return f"{sum(run.done for run in self.by_number.values())} of {self.count} runs have ended"

    def _run(self, number: int) -> Run:
        if number not in self.by_number:
            raise ClusterError(f"there is no run {number} among {self.count}")
        return self.by_number[number]


def lost(run: Run) -> Failed:
    """Gives the failure of a run that is gone without a word."""
    return Failed(
        run.number,
        host=run.host or "unknown",
        message="is gone without a word: its executor or its host was lost",
        hint="look at the executor's log; pass retries=1 for a run to begin again when that happens",
    )


def _as_failed(event: RunEnded) -> Failed:
    try:
        return Failed(**{**(event.failure or {}), "node": event.node})
    except TypeError as error:
        raise ClusterError(f"the failure of run {event.node} cannot be read: {error}") from error
