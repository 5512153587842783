"""What a scorer does around TensorFlow: batches, the last of them, rows that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tfspark_cnn.errors import SchemaError
from tfspark_cnn.tensorflowonspark.input_columns import InputColumn
from tfspark_cnn.tensorflowonspark.saved_model_scoring import SignatureScorer
from tfspark_cnn.tensorflowonspark.signatures import Signature, Tensor

X, N = Tensor("x", "float32", (None, 2)), Tensor("n", "int64", (None,))
TOTAL, BOTH = Tensor("total", "float32", (None,)), Tensor("both", "float32", (None, 2))
SIGNATURE = Signature("s", ("serve",), (N, X), (BOTH, TOTAL))


@dataclass(frozen=True)
class Calls(SignatureScorer):
    """A scorer whose signature is a function of NumPy."""

    sizes: list[int] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    loads: list[int] = field(default_factory=list)

    def _loaded(self) -> Any:
        self.loads.append(1)
        return self._call

    def _call(self, inputs: dict[str, Any], outputs: list[str], *, where: str) -> list[Any]:
        self.sizes.append(len(inputs["x"]))
        self.places.append(where)
        made = {"total": inputs["x"].sum(axis=1) + inputs["n"], "both": inputs["x"], "few": inputs["n"][:1]}
        return [made[name] for name in outputs]


def scorer(x: Tensor = X, outputs: Any = (("t", TOTAL), ("b", BOTH)), batch_rows: int = 4) -> Calls:
    inputs = (InputColumn("number", N), InputColumn("pair", x))
    return Calls("m", "1", SIGNATURE, inputs, outputs, batch_rows)


def rows(*numbers: int) -> pa.StructArray:
    pairs = [[float(n), 0.5] for n in numbers]
    return pa.StructArray.from_arrays([pa.array(numbers), pa.array(pairs, pa.list_(pa.float64()))], ["_0", "_1"])


def test_rows_are_scored_in_batches_in_their_order() -> None:
    calls = scorer()
    found = [row for array in calls([rows(*range(10)), rows(10, 11)]) for row in array.to_pylist()]
    assert found == [{"t": 2 * n + 0.5, "b": [n, 0.5]} for n in range(12)]
    assert calls.sizes == [4, 4, 2, 2] and len(calls.loads) == 1
    assert calls.places[2:] == ["partition 0, rows 8 to 9", "partition 0, rows 10 to 11"]
    assert calls.type() == pa.struct({"t": pa.float64(), "b": pa.list_(pa.float64())})


def test_a_signature_of_fixed_size_gets_a_last_batch_that_is_filled_up() -> None:
    calls = scorer(Tensor("x", "float32", (3, 2)), batch_rows=100)
    (found,) = calls([rows(*range(7))])
    assert found.field("t").to_pylist() == [2 * n + 0.5 for n in range(7)] and calls.sizes == [3, 3, 3]


def test_partitions_and_arrays_without_rows_need_no_tensorflow() -> None:
    calls = scorer()
    assert list(calls([])) == []
    (found,) = calls([rows()])
    assert len(found) == 0 and found.type == calls.type() and calls.loads == []


def test_rows_that_cannot_be_read_need_none_either_and_are_counted_over_batches() -> None:
    calls = scorer(Tensor("x", "float32", (None, 3)))
    with pytest.raises(SchemaError, match="column 'pair', partition 0, row 0: expected 3 values, received 2"):
        list(calls([rows(1)]))
    assert calls.loads == []
    calls = scorer()
    bad = pa.StructArray.from_arrays([pa.array([5, None]), rows(5, 6).field("_1")], ["_0", "_1"])
    with pytest.raises(SchemaError, match="column 'number', partition 0, row 6: expected a value, received a null"):
        list(calls([rows(*range(5)), bad]))


def test_an_output_must_have_a_row_for_each_row() -> None:
    calls = scorer(outputs=(("f", Tensor("few", "int64", (None,))),))
    with pytest.raises(SchemaError, match="rows 0 to 1: expected 2 rows of output 'few', .* received 1"):
        list(calls([rows(1, 2)]))


def test_a_scorer_crosses_to_executors_as_a_value() -> None:
    import pickle

    calls = scorer()
    assert pickle.loads(pickle.dumps(calls)) == calls
    assert np.all([column.row is not None for column in calls.inputs])
