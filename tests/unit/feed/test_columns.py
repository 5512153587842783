from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed.columns import Column, Encoding, OnBadImage, Resize, chosen


def test_a_column_is_validated_and_keeps_plain_values() -> None:
    column = Column("image", shape=[28, np.int64(28), 1], dtype=np.dtype("float32"), encoding="raw")  # type: ignore[arg-type]
    assert column == Column("image", (28, 28, 1), "float32", Encoding.RAW)
    assert type(column.dtype) is str
    assert pickle.loads(pickle.dumps(column)) == column


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encoding": "jpg"}, "received 'jpg'\n  to do: did you mean 'jpeg'"),
        ({"encoding": "PNG"}, "did you mean 'png'"),
        ({"encoding": "gzip"}, "raw is for values as they are"),
        ({"dtype": "flaot32"}, "received 'flaot32'\n  to do: did you mean 'float32'"),
        ({"dtype": "bfloat16"}, "received 'bfloat16'\n  to do: keep float32"),
        ({"dtype": "complex64"}, "expected a dtype of bool, int8"),
        ({"shape": (28, 0)}, r"positive integers, received \(28, 0\)"),
        ({"shape": (-1, 28)}, "without the batch axis"),
        ({"shape": (None, 28)}, "positive integers"),
        ({"shape": (True,)}, "positive integers"),
        ({"shape": 784}, "positive integers, received 784"),
    ],
)
def test_impossible_columns_are_refused_with_a_cure(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Column("x", **arguments)


JPEG = {"encoding": "jpeg", "shape": (8, 8, 3)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({**JPEG, "resize": "bilinaer"}, "a resize of bilinear, .*received 'bilinaer'\n.*did you mean 'bilinear'"),
        ({"shape": (8, 8, 3), "resize": "area"}, "expected resize with encoding='jpeg' or 'png', received 'raw'"),
        ({"encoding": "png", "resize": "area"}, r"a shape to resize to, received None\n.*\(height, width, channels\)"),
        ({"encoding": "png", "shape": (8, 8)}, r"\(height, width, channels\) with 1, 3, 4 channels for a png"),
        ({"encoding": "png", "shape": (8, 8, 2)}, r"1, 3, 4 channels for a png, received \(8, 8, 2\)"),
        ({"encoding": "jpeg", "shape": (8, 8, 4)}, r"1, 3 channels for a jpeg, .*\n.*alpha is what encoding='png' has"),
        ({"scale": 0}, "a finite scale other than 0, received 0"),
        ({"scale": float("nan")}, "a finite scale"),
        ({"scale": True}, "a finite scale"),
        ({"scale": "1/255"}, "a finite scale .*received '1/255'"),
        ({"scale": 0.5, "dtype": "uint8"}, "a float dtype with a scale, received 'uint8'"),
        ({"classes": 0}, "a positive number of classes, received 0"),
        ({"classes": 2.0}, "a positive number of classes, received 2.0"),
        ({"classes": 10, "dtype": "float32"}, "an integer dtype with classes, received 'float32'"),
        ({"classes": 2, "dtype": "bool"}, "an integer dtype with classes, received 'bool'"),
        ({"classes": 10, "scale": 2}, "an integer dtype with classes, received a scale"),
        ({**JPEG, "classes": 10}, "classes with encoding='raw', received 'jpeg'"),
        ({**JPEG, "finite": True}, "finite with encoding='raw', received 'jpeg'"),
        ({"finite": True, "dtype": "int32"}, "a float dtype with finite, received integers"),
        ({"finite": True, "classes": 3}, "a float dtype with finite, received integers"),
    ],
)
def test_what_means_nothing_together_is_refused_with_a_cure(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        Column("x", **arguments)
    assert refused.value.message.startswith("Column('x'): expected") and refused.value.hint


def test_a_column_of_images_keeps_what_it_was_asked() -> None:
    column = Column("x", **JPEG, resize="bilinear", scale=np.float32(0.5))  # type: ignore[arg-type]
    assert (column.resize, column.scale, column.dtype) == (Resize.BILINEAR, 0.5, "float32")
    assert column.encoded and not Column("x").encoded
    assert pickle.loads(pickle.dumps(column)) == column


def test_a_choice_that_does_not_exist_is_refused_with_a_cure() -> None:
    assert chosen("skip", OnBadImage, what="expected one", otherwise="") is OnBadImage.SKIP
    with pytest.raises(ConfigError, match="expected one of raise, skip, received 'skpi'\n.*did you mean 'skip'"):
        chosen("skpi", OnBadImage, what="expected one", otherwise="")
    with pytest.raises(ConfigError, match="received None\n  to do: pass one"):
        chosen(None, OnBadImage, what="expected one", otherwise="pass one")  # type: ignore[arg-type]
