"""Where rows come from: one module per source, and the register of their names.

| what there is | what reads it |
|---|---|
| scikit-learn's digits, bundled | `digits.digits` |
| MNIST, Fashion-MNIST, other IDX files | `idx.mnist`, `idx.fashion_mnist`, `idx.idx` |
| CIFAR-10, CIFAR-100, binary or Python version | `cifar.cifar10`, `cifar.cifar100` |
| folders of images by class | `image_folder.image_folder` |
| TFRecord files of `tf.train.Example` | `tfrecord.read_tfrecords`; `tfrecord_writer.write_tfrecords` |
| CSV files of pixels | `pixels.pixels` |
| Parquet, Delta, Hive, JDBC | Spark: `spark.read.parquet(...)`, `spark.table(...)`; `Column` says what a column is |

`published` says where the files of MNIST, Fashion-MNIST and CIFAR are and what their sums, `download` brings them.
Each gives a DataFrame with `image binary` and `label bigint` (the digits: `image array<float>`) for `cluster.train`.
Nodes of `InputMode.TENSORFLOW` read files themselves: `shares.share_of` gives each node its own.

Example:
    >>> source("digits").image_shape
    (8, 8, 1)
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from tfspark_cnn.config import suggestion
from tfspark_cnn.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["Source", "names", "source"]

Load: TypeAlias = Callable[..., "tuple[DataFrame, DataFrame]"]


@dataclass(frozen=True)
class Source:
    """A named set of labelled images.

    Attributes:
        name: how a configuration calls it.
        image_shape: `(height, width, channels)` of a row of column `image`, which holds it flat, row-major.
        classes: labels are 0 to `classes - 1`; 0 where the files tell.
        loader: `package.module:function`, called as
            `load(spark, *, test_fraction, seed, partitions) -> (training rows, held-out rows)`, and with `folder`
            where the source is in one.
        in_folder: whether its files are the user's, and not bundled.
        encoding: of column `image`: `raw` where it holds the values, `jpeg` for files of images, of any size.
    """

    name: str
    image_shape: tuple[int, int, int]
    classes: int
    loader: str
    in_folder: bool = False
    encoding: str = "raw"

    def sized(self, side: int) -> Source:
        """Gives the source with images of the side that files are brought to; others have their own."""
        return self if self.encoding == "raw" else replace(self, image_shape=(side, side, 3))

    def place(self, folder: str) -> dict[str, str]:
        """Gives the argument that says where the files are, if the source has files.

        Args:
            folder: of them; empty if the source is bundled.

        Raises:
            ConfigError: there is none and should be, or the other way round.
        """
        if self.in_folder and not folder:
            raise ConfigError(
                f"expected a folder with the files of {self.name}, received none",
                hint=self._where(),
            )
        if folder and not self.in_folder:
            raise ConfigError(
                f"expected no data.dir for {self.name}, which is bundled, received {folder!r}",
                hint="leave out data.dir, or choose another data.source",
            )
        return {"folder": folder} if self.in_folder else {}

    def _where(self) -> str:
        if self.name in _IN_FOLDER:
            return f"set data.dir to where they are; `tfspark-cnn data {self.name} DIR` downloads them"
        return "set data.dir to a folder with a folder for each class, or with train and val"

    def load(self) -> Load:
        """Gives the function that makes the two DataFrames; its module is imported only now."""
        module, _, function = self.loader.partition(":")
        found: Load = getattr(importlib.import_module(module), function)
        return found


_IN_FOLDER = {
    "mnist": ((28, 28, 1), 10),
    "fashion_mnist": ((28, 28, 1), 10),
    "cifar10": ((32, 32, 3), 10),
    "cifar100": ((32, 32, 3), 100),
}

_SOURCES = (
    Source("digits", image_shape=(8, 8, 1), classes=10, loader="tfspark_cnn.data.digits:digits"),
    *(
        Source(name, image_shape=shape, classes=classes, loader=f"tfspark_cnn.data.in_folder:{name}", in_folder=True)
        for name, (shape, classes) in _IN_FOLDER.items()
    ),
    # Its classes are the folders that are there, and files are brought to one size.
    Source("image_folder", (224, 224, 3), 0, "tfspark_cnn.data.labelled_folder:labelled", True, "jpeg"),
)


def names() -> tuple[str, ...]:
    """Gives the names of all sources."""
    return tuple(one.name for one in _SOURCES)


def source(name: str) -> Source:
    """Gives the source of that name.

    Raises:
        ConfigError: There is none.
    """
    for one in _SOURCES:
        if one.name == name:
            return one
    raise ConfigError(f"expected a known data source, received {name!r}", hint=suggestion(name, names()))
