"""What a process with TensorFlow does for `test_images`: datasets over a real store and reader, without a cluster."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import augmentation_scenarios
import numpy as np
import pyarrow as pa

from tfspark_cnn import Column
from tfspark_cnn.errors import ConfigError, TFSparkError
from tfspark_cnn.feed.cache import FeedStore
from tfspark_cnn.feed.columns import OnBadImage
from tfspark_cnn.feed.dealing import Dealer
from tfspark_cnn.feed.reader import EpochReader, NodeFeed, Progress, ReaderOptions

SIDE = 8


@dataclass
class Node:
    """One of `workers` nodes, with its share of all partitions."""

    partitions: Sequence[dict[str, Any]]
    share: int = 0
    workers: int = 1
    epochs: int = 1
    told: list[Progress] = field(default_factory=list)
    failures: list[TFSparkError] = field(default_factory=list)

    def dataset(
        self, features: Any, label: Any = None, *, batch: int = 4, replicas: int = 1, seed: int = 0, **options: Any
    ) -> Any:
        from tfspark_cnn.training.dataset import Layout, dataset

        layout, feed = Layout.of(features, label), self._feed()
        reader = EpochReader(
            0,
            ReaderOptions(layout.columns, batch, replicas=replicas, shuffle=options.pop("shuffle", False), seed=seed),
            next_feed=lambda _: feed,
            attach=lambda _, how: feed.agree(how.reader, [how.batch_rows] * self.workers),
            progress=self.told.append,
        )
        return dataset(reader, layout, failed=self._failed, **options)

    def _failed(self, error: TFSparkError) -> TFSparkError:
        self.failures.append(error)
        return error

    def _feed(self) -> NodeFeed:
        batches = [pa.record_batch(partition) for partition in self.partitions]
        store = FeedStore(lambda *_: None, share=self.share, workers=self.workers)
        totals = np.zeros(self.workers, np.int64)
        for number, whole in enumerate(batches):
            dealt = Dealer(number, self.workers).deal(0, whole.num_rows)
            totals += [len(rows) for rows in dealt]
            store.accept(number, 0, whole.take(pa.array(dealt[self.share])))
            store.commit(number, len(dealt[self.share]))
        feed = NodeFeed("input-1", batches[0].schema, self.epochs, self.share, store)
        feed.finish(totals.tolist(), len(batches))
        return feed


def pixels(number: int, *, side: int = SIDE, channels: int = 3, dtype: str = "uint8") -> np.ndarray:
    """An image that depends on its number alone."""
    top = np.iinfo(dtype).max
    return np.random.default_rng(number).integers(0, top, (side, side, channels), endpoint=True, dtype=dtype)


def png(image: np.ndarray) -> bytes:
    import tensorflow as tf

    return bytes(tf.io.encode_png(image).numpy())


def jpeg(image: np.ndarray) -> bytes:
    import tensorflow as tf

    return bytes(tf.io.encode_jpeg(image).numpy())


def gif(frames: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    first, *others = [Image.fromarray(pixels(number)) for number in range(frames)]
    first.save(file, "GIF", save_all=True, append_images=others)
    return file.getvalue()


BAD: dict[str, Callable[[], bytes | None]] = {
    "truncated": lambda: jpeg(pixels(0, side=64))[:-400],
    "empty": lambda: b"",
    "null": lambda: None,
    "garbage": lambda: b"no image at all",
    "animated": lambda: gif(2),
    "other size": lambda: png(pixels(0, side=5)),
}
IMAGE = Column("image", shape=(SIDE, SIDE, 3), encoding="png")


def images(*bad: int, rows: int = 20, with_what: str = "truncated", base: int = 0) -> dict[str, Any]:
    """A partition of images and their numbers, where some are bad."""
    files = [BAD[with_what]() if row in bad else png(pixels(base + row)) for row in range(rows)]
    return {"image": pa.array(files, pa.binary()), "id": np.arange(base, base + rows)}


def said(node: Node, dataset: Any) -> str:
    """What the driver would say of a dataset that fails: the error of ours, not TensorFlow's."""
    import tensorflow as tf

    try:
        for _ in dataset:
            pass
    except tf.errors.OpError:
        return f"{type(node.failures[0]).__name__}: {node.failures[0]}"
    return "nothing"


def raise_on_bad() -> dict[str, str]:
    """By kind of bad image, what is said. Row 13 of partition 1 is one, on whichever of two nodes it lands."""
    found = {}
    for kind in BAD:
        parts = [images(rows=30), images(13, with_what=kind, base=30)]
        nodes = [Node(parts, share=share, workers=2) for share in (0, 1)]
        words = [said(node, node.dataset(IMAGE, "id")) for node in nodes]
        found[kind] = next(text for text in words if text != "nothing")
        assert "nothing" in words
    return found


def skip_bad() -> dict[str, Any]:
    """Three epochs of a shuffled feed in which 7 of 60 rows are bad, of two encoded columns."""
    parts = [images(2, 3, 19), images(5, with_what="null", base=20), images(0, 7, with_what="other size", base=40)]
    for part in parts:
        part["again"] = part["image"]
    second = parts[1]["again"].to_pylist()
    second[9] = b"bad in the other column"
    parts[1]["again"] = pa.array(second, pa.binary())
    node = Node(parts, epochs=3)
    again = Column("again", shape=(SIDE, SIDE, 3), encoding="png")
    lines: list[str] = []
    with _logged(lines):
        dataset = node.dataset([IMAGE, again, "id"], "id", batch=7, shuffle=True, on_bad_image=OnBadImage.SKIP)
        epochs = [list(dataset.as_numpy_iterator()) for _ in range(3)]
    for x, y in (batch for epoch in epochs for batch in epoch):
        assert x["id"].tolist() == y.tolist() and len(x["image"]) == len(y)
        for number, image, other in zip(y.tolist(), x["image"], x["again"], strict=True):
            np.testing.assert_array_equal(image, pixels(number))
            np.testing.assert_array_equal(other, pixels(number))
    return {
        "ids": [sorted(int(row) for _, y in epoch for row in y) for epoch in epochs],
        "steps": [len(epoch) for epoch in epochs],
        "skipped": [(told.passes, told.skipped) for told in node.told],
        "log": lines,
        "own share": _is_own_share(dataset),
    }


def _is_own_share(dataset: Any) -> bool:
    from tfspark_cnn.training.keras_fit import is_own_share

    return is_own_share(dataset)


class _logged:
    """Takes what the package logs at WARNING."""

    def __init__(self, lines: list[str]) -> None:
        self._handler = logging.Handler(logging.WARNING)
        self._handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]

    def __enter__(self) -> None:
        logging.getLogger("tfspark_cnn").addHandler(self._handler)

    def __exit__(self, *_: object) -> None:
        logging.getLogger("tfspark_cnn").removeHandler(self._handler)


def skip_too_many() -> list[str]:
    """What is said where a step has no row left, or fewer than replicas."""
    nodes = [Node([images(*range(4, 8))]), Node([images(4, 5, 6)])]
    options = {"on_bad_image": OnBadImage.SKIP}
    return [
        said(nodes[0], nodes[0].dataset(IMAGE, "id", **options)),
        said(nodes[1], nodes[1].dataset(IMAGE, "id", replicas=2, **options)),
        said(nodes[1], Node([images(4, 5, 6)]).dataset(IMAGE, "id", **options)),
    ]


def taken(columns: dict[str, Any], column: Any, **options: Any) -> np.ndarray:
    """All rows of a column, as the dataset gives them."""
    return np.concatenate(list(Node([columns]).dataset(column, **options).as_numpy_iterator()))


def _files(*files: bytes) -> dict[str, Any]:
    return {"image": pa.array(files, pa.binary())}


def formats() -> dict[str, Any]:
    """Files of other formats, depths and channels than the column says: dtype and values of what comes out."""

    def shown(data: bytes, **column: Any) -> np.ndarray:
        return taken(_files(data), Column("image", **{"shape": (SIDE, SIDE, 3), "encoding": "jpeg", **column}))[0]

    grey, alpha = pixels(1, channels=1), pixels(1, channels=4)
    deep = pixels(1, channels=1, dtype="uint16")
    flat = np.full((SIDE, SIDE, 3), 100, np.uint8)
    return {
        "png as jpeg": (shown(png(pixels(1))), pixels(1)),
        "jpeg as png": (shown(jpeg(flat), encoding="png"), flat),
        "gif of one picture": (shown(gif(1)).shape, (SIDE, SIDE, 3)),
        "grey as colour": (shown(png(grey)), grey.repeat(3, axis=2)),
        "alpha": (shown(png(alpha), encoding="png", shape=(SIDE, SIDE, 4)), alpha),
        "alpha dropped": (shown(png(alpha)).shape, (SIDE, SIDE, 3)),
        "16 bits": (shown(png(deep), encoding="png", shape=(SIDE, SIDE, 1), dtype="uint16"), deep),
        "16 bits as 8": (shown(png(deep), encoding="png", shape=(SIDE, SIDE, 1)), (deep >> 8).astype("uint8")),
        "float": (shown(png(pixels(1)), dtype="float32"), pixels(1).astype("float32")),
        "scaled": (shown(png(pixels(1)), scale=0.5), pixels(1) * np.float32(0.5)),
    }


def resizing() -> dict[str, Any]:
    """Images of many sizes, brought to one by each method; and what TensorFlow itself makes of them."""
    import tensorflow as tf

    sources = [pixels(number, side=side) for number, side in enumerate((5, 8, 13, 31))]
    files = _files(*map(png, sources))
    found = {}
    for method in ("bilinear", "nearest", "bicubic", "area", "lanczos3"):
        expected = [tf.image.resize(source, (SIDE, 6), method=method).numpy() for source in sources]
        wanted = np.stack(expected).astype("float32")
        whole = np.clip(np.round(wanted), 0, 255).astype("uint8")
        column = {"shape": (SIDE, 6, 3), "encoding": "png", "resize": method}
        found[method] = (taken(files, Column("image", **column)), whole)
        found[f"{method} float"] = (taken(files, Column("image", dtype="float32", **column)), wanted)
    return found


def scaling() -> dict[str, Any]:
    """Raw columns with a scale: what the generator hands over, what comes out, and what should."""
    raw = pixels(3).reshape(SIDE, SIDE * 3)
    columns = {
        "bytes": pa.array([row.tobytes() for row in raw], pa.binary()),
        "doubles": pa.array(raw.astype("float64").tolist(), pa.list_(pa.float64())),
        "number": pa.array(range(SIDE), pa.int64()),
    }
    node = Node([columns])
    wanted = [Column("bytes", shape=(SIDE, 3), scale=1 / 255), Column("doubles", dtype="float16", scale=2)]
    x, y = next(node.dataset(wanted, Column("number", scale=0.5), batch=SIDE).as_numpy_iterator())
    return {
        "bytes": (x["bytes"], raw.reshape(SIDE, SIDE, 3).astype("float32") * np.float32(1 / 255)),
        "doubles": (x["doubles"], raw.astype("float16") * np.float16(2)),
        "number": (y, np.arange(SIDE, dtype="float32") * np.float32(0.5)),
    }


def augment(x: Any, seed: Any) -> Any:
    import tensorflow as tf

    image = x["image"] if isinstance(x, dict) else x
    image = tf.image.stateless_random_brightness(tf.cast(image, tf.float32), 0.5, seed)
    return {**x, "image": image} if isinstance(x, dict) else image


def augmented(*, seed: int = 1, share: int = 0, shuffle: bool = True) -> list[list[Any]]:
    """Two epochs of augmented batches, and their labels."""
    node = Node([images(3, rows=60)], epochs=2, share=share, workers=2)
    options = {"on_bad_image": OnBadImage.SKIP, "augment": augment, "shuffle": shuffle}
    dataset = node.dataset(IMAGE, "id", batch=8, seed=seed, **options)
    return [list(dataset.as_numpy_iterator()) for _ in range(2)]


def seeds() -> dict[str, Any]:
    """The seeds that augment gets, by step, of two passes."""

    def run(**node: Any) -> list[list[list[int]]]:
        made = Node([images(rows=40)], epochs=2, workers=2, **node)
        dataset = made.dataset(IMAGE, batch=8, augment=lambda x, seed: seed)
        return [[step.tolist() for step in epoch.as_numpy_iterator()] for epoch in (dataset, dataset)]

    return {"first": run(), "again": run(), "other share": run(share=1)}


def refusal(augment: Any, label: str | None = None) -> str:
    """What is said of a function that augments otherwise than it may."""
    try:
        Node([images()]).dataset(IMAGE, label, augment=augment)
    except ConfigError as error:
        return f"ConfigError: {error}"
    return "nothing"


def augmented_labels() -> dict[str, Any]:
    """A function of three arguments gets labels too, and must give both; where there are none, it is refused."""

    def double(x: Any, y: Any, seed: Any) -> Any:
        return x, (y * 2, seed)

    from tfspark_cnn.training.augment_call import checked_augment

    (x, (y, seed)), *_ = Node([images()]).dataset(IMAGE, "id", augment=double, shuffle=False).as_numpy_iterator()
    named = Node([images()]).dataset(Column(**vars(IMAGE) | {"dtype": "float32"}), augment=checked_augment("cutout:4"))
    cut = next(named.as_numpy_iterator())
    return {
        "named": int((cut == 0).all(axis=-1).sum(axis=(1, 2)).min()),
        "labels": y.tolist(), "seed": list(seed.shape), "rows": len(x),
        "without": refusal(double), "one alone": refusal(lambda x, y, seed: x, "id"),
    }  # fmt: skip


def dict_features() -> list[str]:
    """Several features reach augment by name, and labels do not."""
    dataset = Node([images()]).dataset([IMAGE, "id"], "id", augment=augment)
    (x, y), *_ = dataset.as_numpy_iterator()
    return [*sorted(x), str(x["image"].dtype), str(y.dtype)]


def everything() -> dict[str, Any]:
    """All scenarios in one process, as importing TensorFlow takes longer than any of them."""
    same = [augmented(), augmented()]
    return {
        "raise": raise_on_bad(),
        "skip": skip_bad(),
        "too many": skip_too_many(),
        "formats": formats(),
        "resize": resizing(),
        "scale": scaling(),
        "augmented": same,
        "augmented otherwise": [augmented(seed=2), augmented(share=1)],
        "seeds": seeds(),
        "refused augment": refusal(lambda x, seed: None),
        "labels": augmented_labels(),
        "augmentations": augmentation_scenarios.everything(),
        "dict": dict_features(),
    }
