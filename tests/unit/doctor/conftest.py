"""What was seen where all is well: two nodes on two hosts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tfspark_cnn.doctor.observed import (
    Clock,
    Disk,
    DriverView,
    Host,
    Installed,
    Memory,
    NodeView,
    Reach,
)
from tfspark_cnn.doctor.versions import PACKAGES

GIB = 1 << 30
SAME = Installed("3.11.7", "/env/bin/python", tuple((name, "2.4.1") for name in PACKAGES))


class Seen:
    """Makes views that are as the good ones but for what is said."""

    driver = DriverView("spark://m:7077", {}, "10.0.0.1", Host("driver", "m0"), SAME)

    def node(self, number: int = 0, **other: Any) -> NodeView:
        """Gives what one node sees."""
        address, peer = f"10.0.0.{5 + number}", f"10.0.0.{6 - number}"
        good = NodeView(
            number,
            address,
            executor=f"{address}:400{number}",
            host=Host(f"h{number}", f"m{1 + number}", (("eth0", address),), address),
            installed=SAME,
            reached=(Reach(1 - number, "TensorFlow", f"{peer}:5000", seconds=0.001),),
            driver=Reach(-1, "coordinator", "10.0.0.1:9997", seconds=0.001),
            clock=Clock(0.0001, 0.0005),
            disks=(Disk("/data/spark", 100 * GIB),),
            memory=Memory(16 * GIB),
        )
        return replace(good, **other)

    def nodes(self, **other_of_the_second: Any) -> list[NodeView]:
        """Gives what two nodes see."""
        return [self.node(0), self.node(1, **other_of_the_second)]


@pytest.fixture
def seen() -> Seen:
    return Seen()
