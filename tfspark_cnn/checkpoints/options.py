"""How often a run saves its state, and what it keeps."""

from __future__ import annotations

from dataclasses import dataclass

from tfspark_cnn.errors import ConfigError

EVERY_S = 60.0
"""What a node's death costs at most, besides starting anew; beside it, copying and writing a network is nothing."""

AUTO = "auto"


@dataclass(frozen=True)
class Checkpoints:
    """When `ctx.callbacks` saves weights, optimizer, and the place in the data.

    Attributes:
        every_s: seconds from one checkpoint to the next; None: none by time.
        every_steps: steps from one to the next, counted over all epochs; None: none by steps.
        keep: the last so many stay, besides the best one.
        best: the metric whose best epoch is kept, as `val_accuracy`; `auto`: `val_loss`, or `loss` without validation;
            None: no epoch is the best.

    Raises:
        ConfigError: a number that cannot be.

    Example:
        >>> Checkpoints(every_steps=500, best="val_accuracy").keep
        3
    """

    every_s: float | None = EVERY_S
    every_steps: int | None = None
    keep: int = 3
    best: str | None = AUTO

    def __post_init__(self) -> None:
        for name, least in (("every_s", 0.0), ("every_steps", 1), ("keep", 1)):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not value >= least):
                raise ConfigError(f"Checkpoints({name}={value!r}), expected {least} or more", hint="leave it out")

    def metric(self, logs: dict[str, float]) -> tuple[str, float, bool] | None:
        """Gives the metric that an epoch is judged by, its value, and whether more is better; None: there is none.

        Example:
            >>> Checkpoints().metric({"loss": 0.5, "val_loss": 0.7, "val_accuracy": 0.8})
            ('val_loss', 0.7, False)
        """
        name = ("val_loss" if "val_loss" in logs else "loss") if self.best == AUTO else self.best
        if name is None or name not in logs:
            return None
        return name, logs[name], is_more_better(name)


def is_more_better(metric: str) -> bool:
    """Tells from its name whether more of a metric is better, as Keras does: of accuracy, not of a loss.

    Example:
        >>> is_more_better("val_sparse_categorical_accuracy"), is_more_better("val_loss")
        (True, False)
    """
    return any(word in metric for word in ("acc", "auc", "precision", "recall", "f1", "iou"))


class Schedule:
    """The chief's plan of when all nodes meet next, which costs them a message: in steps, as all count them alike.

    Args:
        options: what the user asked for.
        now_s: on a clock that only grows; as below.
        step: of all epochs.
    """

    FIRST_STEPS = 8
    """After so many steps their pace is known; the first of them is traced, and takes longer."""

    LONGEST_STEPS = 1000
    """So that a pace that changes is noticed. A message in a thousand steps costs nothing."""

    def __init__(self, options: Checkpoints, *, now_s: float, step: int) -> None:
        self._options = options
        self._saved_s, self._saved_step = now_s, step
        self._met_s, self._met_step = now_s, step
        self._step_s = 0.0

    def meet(self, step: int, *, now_s: float) -> tuple[bool, int]:
        """Gives whether a checkpoint is due at a step where all nodes meet, and after how many steps they meet next."""
        if step > self._met_step:
            self._step_s = (now_s - self._met_s) / (step - self._met_step)
        self._met_s, self._met_step = now_s, step
        due = self._is_due(step, now_s)
        if due:
            self._saved_s, self._saved_step = now_s, step
        return due, self._next(step, now_s)

    def _is_due(self, step: int, now_s: float) -> bool:
        options = self._options
        by_step = options.every_steps is not None and step - self._saved_step >= options.every_steps
        late_s = now_s - self._saved_s + self._step_s / 2
        return by_step or (options.every_s is not None and late_s >= options.every_s and step > self._saved_step)

    def _next(self, step: int, now_s: float) -> int:
        options, steps = self._options, self.LONGEST_STEPS
        if options.every_steps is not None:
            steps = min(steps, options.every_steps - (step - self._saved_step))
        if options.every_s is not None:
            left_s = self._saved_s + options.every_s - now_s
            steps = min(steps, round(left_s / self._step_s) if self._step_s else self.FIRST_STEPS)
        return max(1, steps)
