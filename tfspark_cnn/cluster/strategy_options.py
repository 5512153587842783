"""What `ctx.strategy(...)` is asked for, checked before TensorFlow is imported."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tfspark_cnn.config import Precision
from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed.columns import chosen


class Communication(StrEnum):
    """How gradients are summed over the nodes."""

    AUTO = "auto"  # NCCL between GPUs, else ring
    RING = "ring"  # over TensorFlow's gRPC
    NCCL = "nccl"  # NVIDIA's library, between GPUs


class GradientFormat(StrEnum):
    """What gradients travel as."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"  # the range of float32 in half the bytes, with 8 bits of precision


PACK_BYTES = 8 << 20
"""A step of two nodes on CPUs with 26 MB of gradients took 0.79 of its time with messages of this size rather than one,
as the first travel while others are computed; with 1 MiB it took 1.2. Smaller networks have one message anyway."""


@dataclass(frozen=True)
class StrategyOptions:
    """How nodes compute, and how they exchange gradients.

    Attributes:
        precision: Keras' global dtype policy; None leaves it as it is.
        communication: how gradients are summed.
        pack_bytes: gradients are sent in messages of about so many bytes, of those that are there first.
        gradients: what they travel as.

    Raises:
        ConfigError: one of these cannot be.
    """

    precision: str | None = None
    communication: str = Communication.AUTO
    pack_bytes: int = PACK_BYTES
    gradients: str = GradientFormat.FLOAT32

    def __post_init__(self) -> None:
        what = "ctx.strategy expected"
        if self.precision is not None:
            cure = "None, the default, leaves Keras' dtype policy as it is"
            self._set("precision", chosen(self.precision, Precision, what=f"{what} a precision", otherwise=cure))
        cure = "auto is NCCL between GPUs and ring otherwise"
        self._set(
            "communication",
            chosen(self.communication, Communication, what=f"{what} a communication", otherwise=cure),
        )
        cure = "float16 has too small a range for sums of gradients" if self.gradients == "float16" else "use float32"
        self._set("gradients", chosen(self.gradients, GradientFormat, what=f"{what} gradients", otherwise=cure))
        if not _is_positive(self.pack_bytes):
            raise ConfigError(
                f"{what} pack_bytes of 1 or more, received {self.pack_bytes!r}",
                hint=f"leave it out for {PACK_BYTES >> 20} MiB, or pass bytes, as 32 << 20",
            )

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def checked_for(self, gpus: int) -> StrategyOptions:
        """Gives the same, for a node with so many GPUs.

        Raises:
            ConfigError: NCCL without GPUs.
        """
        if self.communication == Communication.NCCL and not gpus:
            raise ConfigError(
                "ctx.strategy expected GPUs with communication='nccl', received a node without any",
                hint="use auto, which is ring without GPUs, or pass gpus_per_node=1 to TFCluster.run",
            )
        return self


def _is_positive(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
