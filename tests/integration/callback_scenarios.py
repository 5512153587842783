"""What callbacks do on one node, in a process of its own that has Keras: for test_callbacks."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

from tfspark_cnn.checkpoints.keeper import Keeper
from tfspark_cnn.checkpoints.options import Checkpoints


def run(folder: str) -> dict[str, Any]:
    """Gives what each scenario found, by its name."""
    return {
        "memory": memory(),
        "files": files(),
        "several fits": several_fits(Path(folder)),
        "own dataset": own_dataset(Path(folder)),
        "kinds": kinds(Path(folder)),
        "other model": other_model(Path(folder)),
    }


def memory() -> list[Any]:
    """What callbacks remember comes back, from JSON, in others of the same kind."""
    import json

    import keras
    import numpy as np

    from tfspark_cnn.training import callback_state

    class Own(keras.callbacks.Callback):
        seen = 0

        def get_state(self) -> dict[str, int]:
            return {"seen": self.seen}

        def set_state(self, state: dict[str, int]) -> None:
            self.seen = state["seen"]

    def some() -> list[Any]:
        return [keras.callbacks.EarlyStopping(patience=4), Own(), keras.callbacks.ReduceLROnPlateau(), Own()]

    before, after = some(), some()
    for one in (*before, *after):
        one.on_train_begin()
    stop, own, reduce, other = before
    stop.wait, stop.best, stop.best_epoch, stop.best_weights = 2, 0.25, 3, [np.ones(2), np.zeros((1, 2))]
    own.seen, reduce.wait, reduce.best, other.seen = 5, 1, 0.5, 6
    states, arrays = callback_state.capture(before)
    after[0].patience = 9
    # A node that is not the chief has no writers, and others may have been added: names, not places, tell them.
    callback_state.restore([keras.callbacks.Callback(), *after], json.loads(json.dumps(states)), arrays)
    stop, own, reduce, other = after
    weights = [one.tolist() for one in stop.best_weights]
    return [
        stop.wait,
        stop.best,
        stop.best_epoch,
        weights,
        stop.patience,
        own.seen,
        reduce.wait,
        reduce.best,
        other.seen,
    ]


def files() -> list[str]:
    """The warnings of callbacks that have a file on every node."""
    import keras

    from tfspark_cnn.training import callbacks

    class Keeps(keras.callbacks.Callback):
        def __init__(self, **attributes: Any) -> None:
            super().__init__()
            vars(self).update(attributes)

    text = io.StringIO()
    handler = logging.StreamHandler(text)
    callbacks.log.addHandler(handler)
    own = [
        Keeps(filepath="a.h5"), Keeps(_log_dir=Path("logs")), Keeps(profile="x", path=None, file=3),
        keras.callbacks.CSVLogger("a.csv"), keras.callbacks.EarlyStopping(),
    ]  # fmt: skip
    for workers in (1, 2):
        callbacks.callbacks(
            lambda **_: None, is_chief=True, log_dir=None, rows_trained=lambda: 0, own=own, num_workers=workers
        )
    callbacks.log.removeHandler(handler)
    return text.getvalue().splitlines()


class Node:
    """One node and its feeds, as far as checkpoints see them; `fit` may be killed at a step."""

    def __init__(self, folder: Path, run: str) -> None:
        from tfspark_cnn.training.resuming import Session, Surroundings

        self.resumed: list[Any] = []
        self.keeper: Keeper | None = None
        self._folder, self._run = folder, run
        self.session = Session(
            Surroundings(
                is_chief=True,
                keeper=self._open,
                places=dict,
                last_begun=lambda: None,
                resume=lambda places: [],
                identity={},
                resumed=self.resumed.append,
            )
        )

    def _open(self, options: Checkpoints) -> Keeper:
        self.keeper = Keeper.open(
            str(self._folder), run=self._run, before=(), address="127.0.0.1:1", options=options, judges=True,
            written=lambda entry, meta: None,
        )  # fmt: skip
        return self.keeper

    def close(self) -> None:
        assert self.keeper is not None
        self.keeper.close(ended=False)

    def fit(
        self, model: Any, rows: Any, epochs: int, *, dies_at: int | None = None, options: Any = None, own: Any = ()
    ) -> Any:
        import keras

        from tfspark_cnn.training.callbacks import callbacks

        class Dies(keras.callbacks.Callback):
            step = 0

            def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
                Dies.step += 1
                if Dies.step == dies_at:
                    raise KeyboardInterrupt

        found = callbacks(
            lambda **_: None, is_chief=True, log_dir=None, rows_trained=lambda: 0, own=own, session=self.session,
            checkpoints=options or Checkpoints(every_steps=2, every_s=None),
        )  # fmt: skip
        return model.fit(rows, epochs=epochs, verbose=0, callbacks=[*found, Dies()])


def _model() -> Any:
    import keras

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    )
    model.compile("adam", "mse", metrics=["mae"])
    return model


def _rows(count: int = 20, seed: int = 0) -> Any:
    import numpy as np
    import tensorflow as tf

    x = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices((x, x.sum(1, keepdims=True))).batch(4)


def _killed(node: Node, calls: list[Any]) -> bool:
    try:
        for call in calls:
            call()
    except KeyboardInterrupt:
        node.close()
        return True
    return False


def own_dataset(folder: Path) -> dict[str, Any]:
    """A dataset of the user's own, of known length: its first steps are dropped in the epoch that goes on."""
    whole = _model()
    history = Node(folder / "whole", "w-1").fit(whole, _rows(), 3)
    found: dict[str, Any] = {"whole": [w.tolist() for w in whole.get_weights()], "history": history.history}
    for step in (1, 3, 5, 8, 10, 14):
        node = Node(folder / f"at-{step}", "a-1")
        assert _killed(node, [lambda node=node, step=step: node.fit(_model(), _rows(), 3, dies_at=step)])
        model, node = _model(), Node(folder / f"at-{step}", "a-2")
        again = node.fit(model, _rows(), 3)
        at = [(one.epoch, one.step) for one in node.resumed]
        found[step] = at, [w.tolist() for w in model.get_weights()], again.history, again.epoch
    return found


def several_fits(folder: Path) -> dict[str, Any]:
    """Two calls of `fit`: killed in the second, the first is not trained again."""

    def calls(node: Node, model: Any, out: list[Any], dies_at: int | None = None) -> list[Any]:
        return [
            lambda: out.append(node.fit(model, _rows(), 2).history),
            lambda: out.append(node.fit(model, _rows(12, 1), 2, dies_at=dies_at).history),
        ]

    model, whole = _model(), []
    _killed(Node(folder / "two", "w-1"), calls(Node(folder / "two-whole", "w-1"), model, whole))
    expected = [w.tolist() for w in model.get_weights()]
    node = Node(folder / "two", "a-1")
    killed = _killed(node, calls(node, _model(), [], dies_at=5))
    model, again = _model(), []
    node = Node(folder / "two", "a-2")
    _killed(node, calls(node, model, again))
    same = [w.tolist() for w in model.get_weights()] == expected
    at = [(one.fit, one.epoch, one.step) for one in node.resumed]
    return {"killed": killed, "same": same, "whole": whole, "again": again, "at": at}


def other_model(folder: Path) -> list[str]:
    """What is said where the model is another: its shapes, its optimizer."""
    import keras

    from tfspark_cnn.errors import CheckpointError

    node = Node(folder / "other", "a-1")
    assert _killed(node, [lambda: node.fit(_model(), _rows(), 3, dies_at=3)])
    layers = [keras.Input((2,)), keras.layers.Dense(4), keras.layers.Dropout(0.5), keras.layers.Dense(1)]
    wider = keras.Sequential(layers)
    wider.compile("adam", "mse", metrics=["mae"])
    plain = _model()
    plain.compile("sgd", "mse", metrics=["mae"])
    said = []
    for number, model in enumerate((wider, plain)):
        try:
            Node(folder / "other", f"b-{number}").fit(model, _rows(), 3)
        except CheckpointError as error:
            said.append(str(error))
    return said


def kinds(folder: Path) -> dict[str, Any]:
    """CSVLogger goes on in its file, BackupAndRestore is left out, and the epochs of both attempts are in the file."""
    import keras

    def own() -> list[Any]:
        return [
            keras.callbacks.CSVLogger(str(folder / "log.csv")),
            keras.callbacks.BackupAndRestore(str(folder / "backup")),
        ]

    node = Node(folder / "csv", "a-1")
    _killed(node, [lambda: node.fit(_model(), _rows(), 3, dies_at=12, own=own())])
    Node(folder / "csv", "a-2").fit(_model(), _rows(), 3, own=own())
    return {"csv": (folder / "log.csv").read_text().splitlines(), "backup": (folder / "backup").exists()}
