"""A program's map_fun as it is called on a node: with its own `ctx`, its `sys.argv`, and its ways to end."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfspark_cnn.cluster.context import NodeContext
from tfspark_cnn.cluster.topology import Role
from tfspark_cnn.tensorflowonspark import keras_import
from tfspark_cnn.tensorflowonspark.TFSparkNode import MASTER, TFNodeContext


@dataclass(frozen=True)
class Program:
    """The map_fun that this package's cluster calls for one of TensorFlowOnSpark's.

    What map_fun returns is dropped, as it was: it need not be something that can be pickled.

    Attributes:
        map_fun: the program's.
        working_dir: that the driver's program was started in.
        leader: what the program calls its chief, or None.
    """

    map_fun: Callable[[Any, Any], Any]
    working_dir: str
    leader: str | None = None

    @property
    def __signature__(self) -> inspect.Signature:
        """Lets the driver check the parameters of the program's own map_fun."""
        return inspect.signature(self.map_fun)

    def __call__(self, args: Any, native: NodeContext) -> None:
        """Calls map_fun on this node."""
        ctx = TFNodeContext.of(native, working_dir=self.working_dir, leader=self.leader)
        keras_import.mend_with(native.mend_keras)
        if isinstance(args, list):  # the arguments of a command line, for programs that parse them on the node
            sys.argv = list(args)
        if native.job_name == Role.EVALUATOR:
            self._until_training_ends(args, ctx, native)
        else:
            self._run(args, ctx)

    def _run(self, args: Any, ctx: TFNodeContext) -> None:
        try:
            self.map_fun(args, ctx)
        except SystemExit as error:
            if error.code not in (None, 0):  # sys.exit() ends many a main function, and well
                raise

    def _until_training_ends(self, args: Any, ctx: TFNodeContext, native: NodeContext) -> None:
        """Lets an evaluator go when nobody trains any more: its map_fun often has no end of its own."""
        failures: list[BaseException] = []
        over = threading.Event()

        def evaluate() -> None:
            try:
                self._run(args, ctx)
            except BaseException as error:  # raised below, in the thread that is waited for
                failures.append(error)
            over.set()

        native.when_training_ends(over.set)
        threading.Thread(target=evaluate, name="tfspark-evaluator", daemon=True).start()
        over.wait()  # for map_fun, or for the coordinator, whose loss ends this process
        if failures:
            raise failures[0]


def gpus_of(tf_args: Any) -> int | None:
    """Gives the `num_gpus` of a Namespace or a dict, or None without: all that Spark assigned to the node.

    Example:
        >>> gpus_of({"num_gpus": 2}), gpus_of(["--num_gpus", "2"])
        (2, None)
    """
    found = tf_args.get("num_gpus") if isinstance(tf_args, Mapping) else getattr(tf_args, "num_gpus", None)
    return found if isinstance(found, int) else None


def chief_of(master_node: str | None) -> str | None:
    """Gives the role that a program's `master_node` is in TF_CONFIG, which knows no `master`."""
    return Role.CHIEF.value if master_node == MASTER else master_node
