"""Whether the GPUs that Spark assigned are those that TensorFlow sees. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tfspark_cnn.doctor.findings import Finding, failed, ok, warning
from tfspark_cnn.doctor.observed import DriverView, NodeView, named, plural

_EXECUTOR = "spark.executor.resource.gpu.amount"
_ASK = "set spark.task.resource.gpu.amount (and spark.executor.resource.gpu.amount with a discoveryScript)"


def gpus(driver: DriverView, views: Sequence[NodeView]) -> list[Finding]:
    """Compares what Spark assigned to each node with what TensorFlow sees there."""
    assigned = [one for one in views if one.gpus.assigned]
    if not assigned:
        return [_none(driver, views)]
    found = [*_unlike(views), *_shared(assigned), *_unseen(assigned)]
    return found or [_well(assigned)]


def _none(driver: DriverView, views: Sequence[NodeView]) -> Finding:
    idle = [one for one in views if one.gpus.devices]
    if idle or driver.conf.get(_EXECUTOR, "0") != "0":
        where = f"the host of {idle[0].name} has {plural(idle[0].gpus.devices, 'GPU')}" if idle else (
            f"{_EXECUTOR} is {driver.conf[_EXECUTOR]}"
        )  # fmt: skip
        return warning("gpus", f"{where}, and tasks ask for none: nodes would train on CPUs", cure=_ASK)
    return ok("gpus", "Spark assigns none: nodes train on CPUs")


def _unlike(views: Sequence[NodeView]) -> Iterator[Finding]:
    counts = Counter(len(one.gpus.assigned) for one in views)
    if len(counts) > 1:
        told = ", ".join(f"{plural(nodes, 'node')} with {count}" for count, nodes in sorted(counts.items()))
        yield failed("gpus", f"nodes have unlike numbers of GPUs: {told}", cure="pass gpus_per_node")


def _shared(views: Sequence[NodeView]) -> Iterator[Finding]:
    """NCCL refuses two of its ranks on one GPU, https://docs.nvidia.com/deeplearning/nccl/user-guide."""
    holders = Counter((one.host.machine, gpu) for one in views for gpu in one.gpus.assigned)
    doubled = sorted({gpu for (_, gpu), count in holders.items() if count > 1})
    if doubled:
        yield failed(
            "gpus",
            f"several nodes of a host were assigned the same GPU: {', '.join(doubled)}",
            cure="set spark.task.resource.gpu.amount to 1 or more, or pass gpus_per_node=1",
        )


def _unseen(views: Sequence[NodeView]) -> Iterator[Finding]:
    broken = [one for one in views if one.gpus.problem]
    if broken:
        told = f"TensorFlow could not be asked for GPUs on {named(broken, views)}: {broken[0].gpus.problem}"
        yield failed("gpus", told, cure="mend TensorFlow there: pip install 'tfspark_cnn[gpu]'")
    blind = [one for one in views if one.gpus.tensorflow is not None and len(one.gpus.tensorflow) < _count(one)]
    if blind:
        one = blind[0]
        sees = len(one.gpus.tensorflow or ())
        yield failed(
            "gpus",
            f"TensorFlow sees {sees} of {plural(_count(one), 'GPU')} ({', '.join(one.gpus.assigned)}) that Spark "
            f"assigned to {named(blind, views)}",
            cure="look at nvidia-smi there, install tensorflow[and-cuda], and let the discoveryScript tell real GPUs",
        )


def _well(views: Sequence[NodeView]) -> Finding:
    told = f"{plural(_count(views[0]), 'GPU')} for each node"
    return ok("gpus", told + (", seen by TensorFlow" if views[0].gpus.tensorflow is not None else ""))


def _count(view: NodeView) -> int:
    return len(view.gpus.assigned)
