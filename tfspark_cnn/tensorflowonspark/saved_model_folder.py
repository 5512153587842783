"""The folder of a SavedModel as the driver sees it: what it can be asked for, and which version it is.

Example:
    >>> SavedModelFolder.at("/models/digits").signature(tag_set="serve", key=None).key       # doctest: +SKIP
    'serving_default'
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass

import pyarrow.fs as pafs

from tfspark_cnn.data import storage
from tfspark_cnn.data.example import NotAnExample
from tfspark_cnn.errors import CorruptFileError
from tfspark_cnn.tensorflowonspark.signatures import Graph, Signature, chosen, graphs_in

_FILE = "saved_model.pb"
_CURE = "setExportDir(...) to the folder that tf.saved_model.save or model.export wrote, with saved_model.pb in it"


@dataclass(frozen=True)
class SavedModelFolder:
    """A SavedModel.

    Attributes:
        uri: of its folder; a local path is absolute, so that it is the same on executors.
        version: changes when any of its files does.
        graphs: that it holds.
    """

    uri: str
    version: str
    graphs: tuple[Graph, ...]

    @classmethod
    def at(cls, uri: str | os.PathLike[str]) -> SavedModelFolder:
        """Reads it.

        Raises:
            SourceError: there is none, or it cannot be read.
            CorruptFileError: it is cut or changed.
        """
        name = _absolute(os.fspath(uri).rstrip("/"))
        file = f"{name}/{_FILE}"
        with storage.translated(file, hint=_CURE):
            system, path = storage.located(file)
            with system.open_input_stream(path, compression=None) as stream:
                data = stream.read()
            files = system.get_file_info(pafs.FileSelector(path.rpartition("/")[0], recursive=True))
        known = sorted((one.path, one.size, one.mtime_ns) for one in files if one.is_file)
        version = hashlib.sha256(repr(known).encode() + data).hexdigest()
        try:
            graphs = graphs_in(data)
        except NotAnExample as error:
            raise CorruptFileError(f"{file}: expected a SavedModel, received {error}", hint=_CURE) from error
        return cls(name, version, graphs)

    def signature(self, *, tag_set: str | None, key: str | None) -> Signature:
        """Gives one of its signatures.

        Raises:
            ConfigError: there is no graph of these tags, or no such signature.
        """
        return chosen(self.graphs, tag_set=tag_set, key=key, where=self.uri)


def _absolute(name: str) -> str:
    has_scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", name)
    return name if has_scheme else os.path.abspath(os.path.expanduser(name))
