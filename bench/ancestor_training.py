"""A small CNN trained end to end, against tensorflowonspark; and the same with a worker killed in the middle.

Both sides train the same network with the same optimizer on the same 1,437 digits in two partitions, two nodes of 32
rows a step, for as many epochs; both must get 0.95 of the 360 held-out digits right. Ours by Keras 3 and
`ctx.dataset`; theirs by legacy Keras and `next_batch`, as its programs do (`peer_training`). Each training is a fresh
Spark application, whose own start does not count.

Then the process of a worker is killed after half of the steps. Ours has `max_restarts=1` and a `model_dir`: the nodes
begin anew and go on from the last checkpoint. There, the user begins anew: what counts is the time until the kill,
then until the driver's program was told, or 20 s where it was not, then the whole run of the same round.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench import part
from bench.part import Options
from bench.peer import peer
from bench.rounds import Ratio, interleaved
from bench.shared_training import (
    BATCH_ROWS,
    EPOCHS,
    KILLED,
    SHAPE,
    Rows,
    Trained,
    Training,
    digits,
    left,
    middle,
    network,
)
from bench.spark import NODES, application
from tfspark_cnn import Column, InputMode, TFCluster

PARTITIONS = NODES
NAMED = "tensorflowonspark 2.2.5, legacy Keras"


@dataclass(frozen=True)
class Fit:
    """A map_fun of ours that trains the small CNN.

    Attributes:
        training: what a node needs.
    """

    training: Training

    def __call__(self, args: Any, ctx: Any) -> None:
        """Trains, and scores the held-out rows on the chief."""
        import keras

        with ctx.strategy().scope():
            model = network(keras)
        data = ctx.dataset(Column("image", shape=SHAPE), "label", batch_size=BATCH_ROWS)
        training = self.training if ctx.attempt == 1 else replace(self.training, kill_at=None)
        own = training.callback(keras, ctx.job_name)
        model.fit(data, epochs=ctx.num_epochs, callbacks=ctx.callbacks(own), verbose=0)
        if ctx.is_chief:
            self.training.score(keras, model.get_weights())


@dataclass(frozen=True)
class Told:
    """What the ancestor's driver was told of a dead worker.

    Attributes:
        killed_s: from the call of `run` until the kill.
        told_s: from then until `train` raised, or until it was given up.
        error: what it raised; None: nothing.
    """

    killed_s: float
    told_s: float
    error: str | None


def ours(*, kill: bool) -> Trained:
    """Trains in a fresh application of ours; with a kill the cluster may begin anew once."""
    (images, labels), held_out = digits()
    with tempfile.TemporaryDirectory(prefix="bench-training-") as folder, application() as spark:
        directory = Path(folder)
        data = spark.createDataFrame(table((images, labels))).coalesce(PARTITIONS).persist()
        assert data.count() == len(labels)
        training = Training(directory, len(labels), held_out, middle(len(labels), nodes=NODES) if kill else None)
        restarts: dict[str, Any] = {"max_restarts": 1, "model_dir": str(directory / "model")} if kill else {}

        def live() -> None:
            with TFCluster.run(
                spark, Fit(training), None, NODES, input_mode=InputMode.SPARK, master_node="chief", **restarts
            ) as cluster:
                cluster.train(data, EPOCHS)
                cluster.shutdown()
                assert len(cluster.attempts()) == 1 + kill, [*map(str, cluster.attempts())]

        trained = Trained.of(directory, live)
        assert not kill or left(directory, KILLED)
        return trained


def table(rows: Rows) -> pa.Table:
    """Gives rows as an Arrow table of `image` and `label`."""
    images, labels = rows
    offsets = np.arange(len(labels) + 1, dtype=np.int32) * images.shape[1]
    return pa.table({"image": pa.ListArray.from_arrays(offsets, images.reshape(-1)), "label": labels})


def ratios(trained: dict[str, list[Trained]], killed: list[Trained], told: list[Told]) -> list[Ratio]:
    """Sets our trainings against theirs, undisturbed and with a killed worker.

    Args:
        trained: of `ours` and of `theirs`, undisturbed, round by round.
        killed: ours, with a killed worker.
        told: theirs.
    """
    mine, other = trained["ours"], trained["theirs"]
    what = f"a small CNN trained for {EPOCHS} epochs, from `TFCluster.run`"
    again = f"{NAMED}: {outcome(told)}, then the whole run anew"
    lost = [one.killed_s + one.told_s for one in told]
    return [
        Ratio(f"{what} until its accuracy is known", NAMED, "s", [t.known_s for t in mine], [t.known_s for t in other]),
        Ratio(
            f"{what} until `shutdown` has returned", NAMED, "s", [t.ended_s for t in mine], [t.ended_s for t in other]
        ),
        Ratio("the part of held-out rows it gets right", NAMED, "", [t.right for t in mine], [t.right for t in other]),
        Ratio(
            f"{what} until `shutdown` has returned, a worker killed in the middle", again, "s",
            [one.ended_s for one in killed], [more + one.ended_s for more, one in zip(lost, other, strict=True)],
        ),
        Ratio(
            "what the killed worker costs", again, "s",
            [one.ended_s - whole.ended_s for one, whole in zip(killed, mine, strict=True)], lost,
        ),
    ]  # fmt: skip


def outcome(told: list[Told]) -> str:
    """Says what the driver's program was told in all rounds.

    Example:
        >>> outcome([Told(9.0, 20.0, None)])
        'nothing was told within 20 s'
    """
    unaware = [one for one in told if one.error is None]
    if not unaware:
        return "`train` raises"
    within = f"nothing was told within {max(one.told_s for one in unaware):.0f} s"
    return within if len(unaware) == len(told) else f"{within} in {len(unaware)} of {len(told)} rounds"


def measure(options: Options) -> list[Ratio]:
    """Trains on both sides in turn, undisturbed and with a kill."""
    with peer() as ancestor:
        found: dict[str, list[Any]] = interleaved(
            {
                "ours": lambda: ours(kill=False),
                "theirs": lambda: Trained(**ancestor("train", killed=False)),
                "ours, killed": lambda: ours(kill=True),
                "theirs, killed": lambda: Told(**ancestor("train", killed=True)),
            },
            rounds=options.rounds,
            warm_up=False,
        )
    return ratios(found, found["ours, killed"], found["theirs, killed"])


def main() -> None:
    """Runs this part."""
    part.run("ancestor_training", __doc__, measure)


if __name__ == "__main__":
    main()
