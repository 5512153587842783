"""What `TFCluster.run(engine=...)` runs a cluster by: this package, or TensorFlowOnSpark itself, to compare with."""

from __future__ import annotations

from enum import StrEnum

from tfspark_cnn.errors import ConfigError, did_you_mean


class Engine(StrEnum):
    """By whom nodes are started, fed and ended."""

    NATIVE = "native"
    TENSORFLOWONSPARK = "tensorflowonspark"


def chosen(engine: object) -> Engine:
    """Gives the engine of that name.

    Raises:
        ConfigError: there is none.

    Example:
        >>> chosen("native")
        <Engine.NATIVE: 'native'>
    """
    if isinstance(engine, str) and engine in list(Engine):
        return Engine(engine)
    known = " or ".join(repr(str(one)) for one in Engine)
    hint = did_you_mean(str(engine), tuple(Engine), "leave it out for this package's own")
    raise ConfigError(f"engine is {engine!r}, expected {known}", hint=hint)
