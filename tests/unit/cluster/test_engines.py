"""Names of engines."""

from __future__ import annotations

import pytest

from tfspark_cnn.cluster import engines
from tfspark_cnn.cluster.tf_cluster import TFCluster
from tfspark_cnn.errors import ConfigError


@pytest.mark.parametrize("name", ["native", "tensorflowonspark"])
def test_an_engine_is_known_by_its_name(name: str) -> None:
    assert engines.chosen(name) == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [("tensorflow_on_spark", "did you mean 'tensorflowonspark'?"), ("Nativ", "did you mean 'native'?"),
     ("horovod", "leave it out"), (None, "leave it out"), (1, "leave it out")],
)  # fmt: skip
def test_another_engine_is_refused_before_spark_is_looked_at(name: object, hint: str) -> None:
    with pytest.raises(ConfigError, match="expected 'native' or 'tensorflowonspark'") as caught:
        TFCluster.run(None, "no function", None, 2, engine=name)  # type: ignore[arg-type]
    assert hint in (caught.value.hint or "")
