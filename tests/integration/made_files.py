"""Small files of each format, made by hand, with the values that they hold."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np


def images(rows: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Gives `uint8[rows, *shape]` in which no two rows are alike."""
    return np.random.default_rng(seed).integers(0, 256, (rows, *shape), np.uint8)


def idx_bytes(values: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape) + values.tobytes()


def write(path: Path, data: bytes, *, zipped: bool = False) -> str:
    path.write_bytes(gzip.compress(data, mtime=0) if zipped else data)
    return str(path)


def write_mnist(folder: Path, values: np.ndarray, labels: np.ndarray, *, zipped: bool, prefix: str = "train") -> None:
    end = ".gz" if zipped else ""
    write(folder / f"{prefix}-images-idx3-ubyte{end}", idx_bytes(values), zipped=zipped)
    write(folder / f"{prefix}-labels-idx1-ubyte{end}", idx_bytes(labels.astype(np.uint8)), zipped=zipped)


def cifar_records(values: np.ndarray, *labels: np.ndarray) -> bytes:
    """`values` are `uint8[rows, 32, 32, 3]`; the file has channels first."""
    planes = values.transpose(0, 3, 1, 2).reshape(len(values), -1)
    return np.concatenate([*(each.astype(np.uint8)[:, None] for each in labels), planes], axis=1).tobytes()


def cifar10_parts(rows: int) -> dict[str, slice]:
    """Gives each of the five files of CIFAR-10's training rows its part of so many rows, none as many as another."""
    ends = [rows * number * (number + 1) // 30 for number in range(6)]
    return {f"data_batch_{number}": slice(ends[number - 1], ends[number]) for number in range(1, 6)}


def cifar_pickle(values: np.ndarray, protocol: int = 2, **labels: np.ndarray) -> bytes:
    """As Python 2 wrote them: texts are bytes."""
    planes = values.transpose(0, 3, 1, 2).reshape(len(values), -1)
    held = {b"data": planes, b"batch_label": b"training batch 1 of 5"}
    return pickle.dumps(held | {name.encode(): each.tolist() for name, each in labels.items()}, protocol=protocol)


def tar(files: dict[str, bytes], *, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz" if zipped else "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def brightest_of_four() -> bytes:
    """A `.keras` file, made without Keras: of images of 2x2 the softmax of the four pixels."""
    import h5py

    def layer(kind: str, **config: object) -> dict[str, object]:
        return {"module": "keras.layers", "class_name": kind, "config": config}

    layers = [
        layer("InputLayer", name="image", batch_shape=[None, 2, 2, 1], dtype="float32"),
        layer("Flatten", name="flatten"),
        layer("Dense", name="scores", units=4, activation="softmax"),
    ]
    network = {"module": "keras", "class_name": "Sequential", "config": {"name": "brightest", "layers": layers}}
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for name, value in {"0": np.eye(4, dtype=np.float32), "1": np.zeros(4, np.float32)}.items():
            file[f"layers/dense/vars/{name}"] = value
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("config.json", json.dumps(network))
        archive.writestr("model.weights.h5", weights.getvalue())
    return body.getvalue()
