"""What the files of CIFAR hold: images and labels in records of bytes, or in pickled dictionaries. Pure.

Example:
    >>> images, labels = next(binary_rows(io.BytesIO(bytes(3073)), CIFAR10, where="test_batch.bin"))
    >>> images.shape, labels["label"]
    ((1, 3072), array([0]))
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tfspark_cnn.data.safe_pickle import arrays_in
from tfspark_cnn.data.storage import COPY_AGAIN, Readable
from tfspark_cnn.errors import CorruptFileError

Labels: TypeAlias = "dict[str, npt.NDArray[Any]]"
Rows: TypeAlias = "tuple[npt.NDArray[np.uint8], Labels]"

SIDE, CHANNELS = 32, 3
IMAGE_BYTES = SIDE * SIDE * CHANNELS
_RECORDS = 1000  # read at a time: 3 MB


@dataclass(frozen=True)
class Kind:
    """CIFAR-10 or CIFAR-100.

    Attributes:
        name: as its authors call it.
        training: names of the files with training rows, without their ending.
        test: of those with test rows.
        labels: columns, in the order of their bytes in a record, with their keys in a pickle.
        names: of the classes that `label` counts.
    """

    name: str
    training: tuple[str, ...]
    test: tuple[str, ...]
    labels: Mapping[str, str]
    names: tuple[str, ...]

    def holds(self, name: str, *, train: bool) -> bool:
        """Tells whether a file of that name holds such rows."""
        return _stem(name) in (self.training if train else self.test)

    def is_archive(self, name: str) -> bool:
        """Tells whether a file of that name is the archive of either version, as it is published."""
        return re.fullmatch(rf"{self.name.lower()}-(binary|python)\.tar(\.gz)?", name) is not None

    def example(self, *, train: bool) -> str:
        """Gives the name of such a file, for errors."""
        name = (self.training if train else self.test)[0]
        return f"{name}.bin or {name}"

    def faults(self, names: Iterable[str], *, train: bool) -> str:
        """Says which of the files with such rows are missing, or are there more than once; nothing if all is well.

        Example:
            >>> CIFAR10.faults(["data_batch_1", "data_batch_2.bin", "data_batch_5", "data_batch_5.bin"], train=True)
            'data_batch_3, data_batch_4 missing, data_batch_5 more than once'
        """
        found = Counter(_stem(name) for name in names)
        wanted = self.training if train else self.test
        missing = ", ".join(name for name in wanted if not found[name])
        doubled = ", ".join(name for name in wanted if found[name] > 1)
        said = [f"{missing} missing" if missing else "", f"{doubled} more than once" if doubled else ""]
        return ", ".join(filter(None, said))


def _stem(name: str) -> str:
    return re.sub(r"(\.bin)?(\.gz)?$", "", name)


CIFAR10 = Kind(
    "CIFAR-10",
    training=tuple(f"data_batch_{number}" for number in range(1, 6)),
    test=("test_batch",),
    labels={"label": "labels"},
    names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
)

_FINE = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""

CIFAR100 = Kind(
    "CIFAR-100",
    training=("train",),
    test=("test",),
    labels={"coarse_label": "coarse_labels", "label": "fine_labels"},
    names=tuple(_FINE.split()),
)


def binary_rows(stream: Readable, kind: Kind, *, where: str) -> Iterator[Rows]:
    """Gives images `uint8[rows, 3072]`, channels last, and labels, some rows at a time, of the binary version.

    Args:
        stream: of records: a byte for each label, then the red, green and blue bytes, row-major.
        kind: which data set.
        where: the file, for errors.

    Raises:
        CorruptFileError: it does not end with a record.
    """
    record_bytes = len(kind.labels) + IMAGE_BYTES
    seen_bytes = 0
    while data := stream.read(_RECORDS * record_bytes):
        seen_bytes += len(data)
        if len(data) % record_bytes:
            raise CorruptFileError(
                f"{where}: expected records of {record_bytes} bytes, received {seen_bytes} bytes, which is "
                f"{seen_bytes % record_bytes} more than whole records",
                hint=COPY_AGAIN,
            )
        records = np.frombuffer(data, np.uint8).reshape(-1, record_bytes)
        labels = {name: records[:, place].astype(np.int64) for place, name in enumerate(kind.labels)}
        yield channels_last(records[:, len(kind.labels) :]), labels


def pickled_rows(data: bytes, kind: Kind, *, where: str) -> Iterator[Rows]:
    """Gives images `uint8[rows, 3072]`, channels last, and labels, some rows at a time, of the Python version.

    Raises:
        CorruptFileError: it is no pickle of such arrays.
    """
    held = arrays_in(data, where=where)
    pixels = _value(held, "data", where)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[1:] != (IMAGE_BYTES,):
        received = f"{pixels.dtype}{list(pixels.shape)}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise CorruptFileError(f"{where}: expected 'data' as uint8[rows, {IMAGE_BYTES}], received {received}")
    labels = {name: _labels(_value(held, key, where), key, len(pixels), where) for name, key in kind.labels.items()}
    for start in range(0, len(pixels), _RECORDS):
        part = slice(start, start + _RECORDS)
        yield channels_last(pixels[part]), {name: values[part] for name, values in labels.items()}


def channels_last(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Turns `uint8[rows, 3072]` of channel, height, width into height, width, channel."""
    planes = images.reshape(-1, CHANNELS, SIDE, SIDE)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)).reshape(-1, IMAGE_BYTES)


def _value(held: Any, key: str, where: str) -> Any:
    keys = list(held) if isinstance(held, dict) else []
    for each in (key.encode(), key):  # Python 2 wrote bytes, Python 3 writes texts
        if each in keys:
            return held[each]
    received = f"the keys {keys}" if keys else f"a {type(held).__name__}"
    raise CorruptFileError(
        f"{where}: expected a dictionary with '{key}', received {received}",
        hint="see that the file belongs to this data set: CIFAR-10 has 'labels', CIFAR-100 'fine_labels'",
    )


def _labels(values: Any, key: str, rows: int, where: str) -> npt.NDArray[Any]:
    try:
        labels = np.asarray(values, np.int64)
    except (TypeError, ValueError, OverflowError):
        labels = np.empty(0, np.int64)
    if labels.shape != (rows,) or labels.min(initial=0) < 0:
        received = f"{len(values)} values" if isinstance(values, (list, np.ndarray)) else type(values).__name__
        raise CorruptFileError(
            f"{where}: expected '{key}' as {rows} whole numbers from 0, received {received}", hint=COPY_AGAIN
        )
    return labels
