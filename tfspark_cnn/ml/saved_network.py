"""A trained network as it lies on disk: a `.keras` file, or the folder of a saved model, read without Spark.

Example:
    >>> saved = read("s3://bucket/digits")                                               # doctest: +SKIP
    >>> saved.column.shape, saved.labels                                                 # doctest: +SKIP
    ((8, 8, 1), None)
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pyarrow.fs as pafs

from tfspark_cnn.data import storage
from tfspark_cnn.errors import ConfigError, CorruptFileError
from tfspark_cnn.feed.columns import Column

FORMAT = 1
"""Of saved models; one of a later format is refused."""

KEY = "tfsparkCnn"
"""Under which the metadata of a saved model hold what is ours."""

_ZIP = b"PK\x03\x04"  # what a .keras file begins with
_WANTED = "expected a .keras file, or the folder of a saved CNNClassificationModel or CNNRegressionModel"


class Answer(StrEnum):
    """What the outputs of a network are."""

    CLASSES = "classes"  # a probability for each class
    NUMBER = "number"


_ANSWERS = {"CNNClassificationModel": Answer.CLASSES, "CNNRegressionModel": Answer.NUMBER}


@dataclass(frozen=True)
class SavedNetwork:
    """A trained network, and what is known of its input and outputs.

    Attributes:
        network: bytes of the `.keras` file.
        column: of images, with the scale that scoring multiplies pixels with; None: not known, a bare file.
        labels: names of the classes, where there are some.
        answer: what the outputs are; None: not known, a bare file.
    """

    network: bytes = field(repr=False)
    column: Column | None = None
    labels: tuple[str, ...] | None = None
    answer: Answer | None = None


def image_column(params: Mapping[str, Any]) -> Column:
    """Gives the column of images that Params describe: float32 pixels of `inputShape`.

    Args:
        params: name to value, of `featuresCol`, `inputShape`, `encoding`, `resize` and `scale`.

    Raises:
        ConfigError: they contradict each other.
    """
    encoding, scale = params.get("encoding", "raw"), params.get("scale", 1.0)
    return Column(
        params["featuresCol"], shape=tuple(params["inputShape"]), dtype="float32",
        encoding=encoding, resize=params.get("resize") or None,
        scale=scale if encoding == "raw" or scale != 1.0 else None,  # with one, raw bytes hold uint8
    )  # fmt: skip


def read(uri: str | os.PathLike[str]) -> SavedNetwork:
    """Reads a network.

    Args:
        uri: of a `.keras` file, or of the folder that `save` of a model wrote; a local path or a URI of `pyarrow.fs`.

    Raises:
        SourceError: nothing is there, or it cannot be read.
        CorruptFileError: it is no network, or cut.
        ConfigError: it is a model of another class, or of a later version of this package.
    """
    name = os.fspath(uri).rstrip("/")
    if storage.kind_at(name) is pafs.FileType.Directory:
        return _of_folder(name)
    with storage.opened(name, zipped=lambda head: False) as file:
        body = file.read()
    _check_network(body, name)
    return SavedNetwork(body)


def _of_folder(name: str) -> SavedNetwork:
    metadata = _metadata(name)
    own = metadata.get(KEY)
    wrote = str(metadata.get("class")).rpartition(".")[2]
    if own is None or wrote not in _ANSWERS:
        raise ConfigError(f"{_WANTED}, received a {wrote} at {name}", hint=_cure(name, wrote))
    if own["format"] > FORMAT:
        raise ConfigError(
            f"the model in {name} is of format {own['format']}, expected {FORMAT}",
            hint="read it with the version of this package that wrote it, or with a later one",
        )
    params = metadata.get("defaultParamMap", {}) | metadata.get("paramMap", {})
    labels = own.get("labels")
    body = _body(name)
    _check_network(body, f"{name}/network")
    column = image_column(params) if "inputShape" in params else None
    return SavedNetwork(body, column, None if labels is None else tuple(labels), _ANSWERS[wrote])


def _metadata(name: str) -> dict[str, Any]:
    """Reads what Spark wrote into the folder `metadata`: a line of JSON, in the one part that has any."""
    if storage.kind_at(f"{name}/metadata") is not pafs.FileType.Directory:
        raise ConfigError(f"{_WANTED}, received a folder without metadata at {name}", hint=_cure(name, ""))
    text = b""
    for part in storage.files_at(f"{name}/metadata"):
        with storage.opened(part.uri) as file:
            text += file.read()
    try:
        found: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise CorruptFileError(
            f"{name}/metadata: expected a line of JSON, received {len(text)} bytes: {error}", hint=storage.COPY_AGAIN
        ) from error
    return found


def _body(name: str) -> bytes:
    import pyarrow.parquet as pq

    system, path = storage.located(f"{name}/network")
    with storage.translated(f"{name}/network"):
        rows = pq.read_table(path, filesystem=system).to_pylist()
    return b"".join(row["bytes"] for row in sorted(rows, key=lambda row: int(row["part"])))


def _check_network(body: bytes, name: str) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            if "config.json" in archive.namelist():
                return
    except zipfile.BadZipFile:
        pass
    received = f"{len(body)} bytes that begin with {body[:8]!r}"
    if body.startswith(_ZIP):
        received = f"the {len(body)} first bytes of one, or another archive"
    raise CorruptFileError(
        f"{name}: expected a .keras file, received {received}",
        hint="copy it again; a network of an .h5 file becomes one by keras.models.load_model(...).save('NAME.keras')",
    )


def _cure(name: str, wrote: str) -> str:
    if wrote == "PipelineModel":
        return f"name one of its stages: a folder in {name}/stages"
    if storage.kind_at(f"{name}/saved_model.pb") is pafs.FileType.File:
        return "this is an export already; take the .keras file or the saved model that it was made from"
    if storage.kind_at(f"{name}/model.keras") is pafs.FileType.File:
        return f"name the file in it, {name}/model.keras"
    return "save the model with model.save(path), or name its .keras file"
