"""Whether driver and nodes can write to `model_dir`, and mean the same folder by it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tfspark_cnn.doctor.findings import Finding, failed, ok
from tfspark_cnn.doctor.observed import NodeView, named

Problem = tuple[str, str]
"""What is wrong, and the cure."""

NOT_SHARED: Problem = (
    "does not find what the driver has written there: it is another folder",
    "pass a URI as s3://bucket/run or hdfs://host/run, or an absolute path that all hosts mount from one place",
)


def model_dir(uri: str, on_driver: Problem | None, views: Sequence[NodeView]) -> Finding:
    """Tells who cannot write.

    Args:
        uri: of the folder.
        on_driver: what is wrong on the driver; None: nothing, and nodes have looked for what it has written.
        views: of the nodes.
    """
    if on_driver is not None:
        message, cure = on_driver
        return failed("model_dir", f"the driver {message}", cure=cure)
    broken = [one for one in views if one.folder is not None]
    if not broken:
        return ok("model_dir", f"driver and nodes write to the same {uri}")
    message, cure = broken[0].folder or NOT_SHARED
    alike = [one for one in broken if one.folder == broken[0].folder]
    return failed("model_dir", f"{uri}: {named(alike, views)} {message}", cure=cure)
