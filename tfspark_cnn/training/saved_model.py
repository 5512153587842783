"""A signature of a SavedModel, called in a Spark task: loaded once in a Python worker, used for all that comes there.

A SavedModel on another file system than the host's is copied to a temporary folder to be loaded: TensorFlow itself
reads neither hdfs nor s3 any more.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import pyarrow.fs as pafs
import tensorflow as tf

from tfspark_cnn.data import storage
from tfspark_cnn.errors import SchemaError, SourceError
from tfspark_cnn.training import threads
from tfspark_cnn.training.recent import Recent

_CURE = "put the SavedModel where all executors reach it by that path, or name it by a URI, as hdfs://host/model"


@dataclass(frozen=True)
class Wanted:
    """Which signature.

    Attributes:
        uri: of the SavedModel.
        version: of its files; another one is loaded anew.
        tags: of the graph.
        key: of the signature.
    """

    uri: str
    version: str
    tags: tuple[str, ...]
    key: str


_loaded: Recent[Wanted, LoadedSignature] = Recent()


def signature(wanted: Wanted, *, cores: int) -> LoadedSignature:
    """Gives the signature, which is loaded if it is not there yet.

    Args:
        wanted: which.
        cores: that TensorFlow may use, if it has not begun.

    Raises:
        SourceError: the SavedModel cannot be read here.
    """
    threads.use(cores)
    return _loaded.get(wanted, lambda: LoadedSignature(wanted))


class LoadedSignature:
    """One signature of a SavedModel.

    Args:
        wanted: which.

    Raises:
        SourceError: the SavedModel cannot be read here.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._model = _load(wanted)  # what a signature refers to lives as long as the model does
        self._function = self._model.signatures[wanted.key]
        inputs = self._function.structured_input_signature[1]
        self._dtypes = {name: spec.dtype for name, spec in inputs.items()}

    def __call__(
        self, inputs: Mapping[str, npt.NDArray[Any]], outputs: Sequence[str], *, where: str
    ) -> list[npt.NDArray[Any]]:
        """Gives outputs by name for some rows.

        Args:
            inputs: by name.
            outputs: names of what is wanted.
            where: which rows these are, for errors.

        Raises:
            SchemaError: the graph refuses them.
        """
        try:
            tensors = {name: _tensor(values, self._dtypes[name]) for name, values in inputs.items()}
            found = self._function(**tensors)
            return [found[name].numpy() for name in outputs]
        except (tf.errors.OpError, ValueError, TypeError) as error:
            said = str(error).strip().partition("\n")[0]
            raise SchemaError(
                f"{where}: the signature {self._function.name!r} refused them: {type(error).__name__}: {said}",
                hint="compare the shapes and values of the columns with what the model was saved for",
            ) from error


def _tensor(values: npt.NDArray[Any], dtype: Any) -> Any:
    tensor = tf.convert_to_tensor(values)
    return tensor if tensor.dtype == dtype else tf.cast(tensor, dtype)


def _load(wanted: Wanted) -> Any:
    with _on_this_host(wanted.uri) as folder:
        try:
            return tf.saved_model.load(folder, tags=list(wanted.tags))
        except (OSError, tf.errors.OpError) as error:
            raise SourceError(f"could not load {wanted.uri}: {error}", hint=_CURE) from error


@contextlib.contextmanager
def _on_this_host(uri: str) -> Iterator[str]:
    system, path = storage.located(uri)
    if isinstance(system, pafs.LocalFileSystem):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="tfspark-saved-model-") as folder:
        with storage.translated(uri, hint=_CURE):
            pafs.copy_files(path, folder, source_filesystem=system, destination_filesystem=pafs.LocalFileSystem())
        yield folder
