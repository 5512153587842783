"""`TFCluster.run(engine="tensorflowonspark")`: the same call on TensorFlowOnSpark itself, to compare a program on both.

Its package is imported inside functions, when somebody asks for it: it imports TensorFlow, on the driver too.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Mapping
from typing import Any

from tfspark_cnn.cluster import (
    ancestor_arguments,
    application,
    cluster_arguments,
    map_fun_payload,
    slots,
    topology,
)
from tfspark_cnn.cluster.ancestor_arguments import ENGINE
from tfspark_cnn.cluster.ancestor_cluster import AncestorCluster
from tfspark_cnn.cluster.ancestor_context import AncestorProgram
from tfspark_cnn.cluster.ancestor_errors import translated
from tfspark_cnn.errors import ConfigError, ReservationTimeout

log = logging.getLogger(__name__)

INSTALL = "pip install tensorflowonspark 'setuptools<81', or: pip install 'tfspark_cnn[tensorflowonspark]'"

SPARK_FEEDS = 1
"""`InputMode.SPARK`, which is that of both."""


def package() -> Any:
    """Imports its module `TFCluster`, and TensorFlow with it.

    Raises:
        ConfigError: it is not installed, or `pkg_resources` is not, which it needs.
    """
    root = logging.getLogger()
    quiet = logging.NullHandler()
    root.addHandler(quiet)  # with a handler there, the logging.basicConfig of its __init__ leaves the program's alone
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pkg_resources and of escapes in its texts
            from tensorflowonspark import TFCluster
    except ImportError as error:
        missing = "pkg_resources, which is in setuptools below 81" if error.name == "pkg_resources" else error.name
        raise ConfigError(f"{ENGINE} needs a package that is not here: {missing}", hint=INSTALL) from error
    finally:
        root.removeHandler(quiet)
    return TFCluster


class GuardedContext:
    """A SparkContext that is not stopped by a library: TensorFlowOnSpark does so where its nodes fail.

    Args:
        sc: the SparkContext.
    """

    def __init__(self, sc: Any) -> None:
        self._sc = sc

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sc, name)

    def stop(self) -> None:
        """Leaves the application as it is."""
        log.warning("%s wanted to stop the Spark application, which is not its own", ENGINE)


def run(given: Mapping[str, Any]) -> Any:
    """Starts a cluster of TensorFlowOnSpark.

    Args:
        given: the arguments of `TFCluster.run`, by name.

    Returns:
        An `AncestorCluster`.

    Raises:
        ConfigError: an argument is none of its, or the package is not installed.
        SlotsError: executors are not as it needs them.
        ReservationTimeout: some nodes did not come up in time.
        NodeError: a node failed meanwhile.
    """
    began, fed = time.monotonic(), given["input_mode"] == SPARK_FEEDS
    ancestor_arguments.check(given, fed=fed)
    nodes = topology.plan(given["num_executors"], master_node=given["master_node"], eval_node=given["eval_node"])
    cluster_arguments.check(**{name: given[name] for name in ("reservation_timeout", "tensorboard", "log_dir")})
    map_fun_payload.pickled(given["map_fun"], given["tf_args"])
    sc = application.session(given["sc"]).sparkContext
    application.use_this_python(sc)
    conf = dict(sc.getConf().getAll())
    slots.check_static(conf)
    misfit = ancestor_arguments.misfit(conf, sc.master, nodes=len(nodes), fed=fed)
    if misfit is not None:
        raise misfit
    theirs = package()
    cluster = AncestorCluster(theirs, _started(theirs, sc, given), fed=fed)
    cluster.took("start", began)
    return cluster


def _started(theirs: Any, sc: Any, given: Mapping[str, Any]) -> Any:
    queues = ancestor_arguments.queues(given["queues"])
    program = AncestorProgram(given["map_fun"], given["tf_args"], tuple(queues), given["log_dir"])
    gpus = {} if given["gpus_per_node"] is None else {"num_gpus": given["gpus_per_node"]}
    theirs.tf_status.clear()  # else an error of a cluster before is one of this
    passed = ("tensorboard", "input_mode", "log_dir", "master_node", "reservation_timeout", "eval_node", "release_port")
    try:
        return theirs.run(
            GuardedContext(sc),
            program,
            argparse.Namespace(**gpus),
            given["num_executors"],
            0,
            queues=queues,
            **{name: given[name] for name in passed},
        )
    except (Exception, SystemExit) as error:
        if "timed out waiting for reservations" in str(error):
            raise ReservationTimeout(
                f"{ENGINE}: after {given['reservation_timeout']:g} s not all nodes were up",
                hint="its job goes on waiting for executors: cancel it in the Spark UI, or stop the application",
            ) from error
        raise translated(error, status=theirs.tf_status.get("error")) from error
