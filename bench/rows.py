"""The rows that are fed: made on executors, so that neither the driver nor a file has a part in what is measured."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bench.spark import PARTITIONS

BATCH_BYTES = 4 << 20
JPEG_QUALITY = 90
JPEGS = 32
"""Different JPEG images; they are repeated, since making them is slow and what they show does not matter."""


@dataclass(frozen=True)
class Rows:
    """Images and labels.

    Attributes:
        name: as it stands in tables.
        count: rows.
        shape: of an image.
        dtype: of its values: float32 travels as a list, uint8 as bytes.
        jpeg: whether the bytes are a JPEG file.
    """

    name: str
    count: int
    shape: tuple[int, ...]
    dtype: str
    jpeg: bool = False

    @property
    def size(self) -> int:
        """Values of an image."""
        return int(np.prod(self.shape))

    @property
    def row_bytes(self) -> int:
        """Bytes of an image as it travels; of JPEG files the mean."""
        if self.jpeg:
            return sum(map(len, jpegs(self.shape))) // JPEGS
        return self.size * np.dtype(self.dtype).itemsize

    def with_count(self, count: int) -> Rows:
        """Gives the same with another number of rows."""
        return replace(self, count=count)

    def batch(self, first: int, rows: int) -> pa.RecordBatch:
        """Gives rows [first, first + rows) of noise: `image`, `label`."""
        draw = np.random.default_rng(first)
        if self.jpeg:
            files = jpegs(self.shape)
            image = pa.array([files[(first + i) % JPEGS] for i in range(rows)], pa.binary())
        elif self.dtype == "uint8":
            values = draw.integers(0, 256, rows * self.size, dtype=np.uint8)
            image = pa.BinaryArray.from_buffers(pa.binary(), rows, [None, self._offsets(rows), pa.py_buffer(values)])
        else:
            values = pa.array(draw.random(rows * self.size, dtype=np.float32))
            image = pa.ListArray.from_arrays(np.arange(rows + 1, dtype=np.int32) * self.size, values)
        return pa.record_batch({"image": image, "label": np.arange(first, first + rows) % 10})

    def _offsets(self, rows: int) -> pa.Buffer:
        return pa.py_buffer(np.arange(rows + 1, dtype=np.int32) * self.size)

    @property
    def ddl(self) -> str:
        """The Spark schema of `batch`."""
        return f"image {'array<float>' if self.dtype == 'float32' else 'binary'}, label bigint"


@cache
def jpegs(shape: tuple[int, ...]) -> tuple[bytes, ...]:
    """Gives JPEG files of noise that is smooth, so that they are as large as those of photographs."""
    from PIL import Image

    files = []
    for seed in range(JPEGS):
        coarse = np.random.default_rng(seed).integers(0, 256, (shape[0] // 8, shape[1] // 8, shape[2]), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize(shape[:2][::-1]).save(file, "JPEG", quality=JPEG_QUALITY)
        files.append(file.getvalue())
    return tuple(files)


@dataclass(frozen=True)
class Generate:
    """Makes rows in Spark tasks from their numbers."""

    rows: Rows

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Gives the rows that the ids in `batches` stand for, in record batches of a few MiB."""
        step = max(1, BATCH_BYTES // self.rows.row_bytes)
        for ids in batches:
            first = ids.column(0)[0].as_py() if ids.num_rows else 0
            for start in range(0, ids.num_rows, step):
                yield self.rows.batch(first + start, min(step, ids.num_rows - start))


def frame(spark: Any, rows: Rows, *, partitions: int = PARTITIONS) -> Any:
    """Gives a DataFrame of the rows, which computes them whenever it is gone over."""
    return spark.range(0, rows.count, 1, partitions).mapInArrow(Generate(rows), rows.ddl)


@dataclass(frozen=True)
class Tuples:
    """Makes the rows of an RDD: `(image, label)`.

    Attributes:
        size: values of an image.
        numpy: whether an image is a float32 array; else it is a list of Python floats.
    """

    size: int
    numpy: bool

    def __call__(self, ids: Iterable[int]) -> Iterator[tuple[Any, int]]:
        """Gives the rows that the ids stand for."""
        for number in ids:
            image: NDArray[np.float32] = np.random.default_rng(number).random(self.size, dtype=np.float32)
            yield (image if self.numpy else image.tolist()), number % 10


def rdd(sc: Any, *, count: int, size: int, numpy: bool, partitions: int = PARTITIONS) -> Any:
    """Gives an RDD of rows that Spark keeps, pickled, in its executors."""
    made = sc.range(0, count, 1, partitions).mapPartitions(Tuples(size, numpy)).persist()
    assert made.count() == count
    return made
