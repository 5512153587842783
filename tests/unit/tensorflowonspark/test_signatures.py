"""What is read from `saved_model.pb`, and which signature is chosen; no TensorFlow here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow.fs as pafs
import pytest

from tfspark_cnn.data import storage
from tfspark_cnn.data.example import NotAnExample
from tfspark_cnn.errors import ConfigError, CorruptFileError, SourceError
from tfspark_cnn.tensorflowonspark.saved_model_folder import SavedModelFolder
from tfspark_cnn.tensorflowonspark.signatures import Tensor, chosen, graphs_in

# --- a saved_model.pb, as protobuf writes it ---

DTYPES = {"float32": 1, "int64": 9, "string": 7, "uint8": 4, "resource": 20}

Described = dict[str, tuple[str, Sequence[int | None] | None]]


def field(number: int, body: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(body)) + body


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    octets = []
    while value > 0x7F:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])


def shape(lengths: Sequence[int | None] | None) -> bytes:
    if lengths is None:
        return bytes([3 << 3, 1])
    sizes = (bytes([1 << 3]) + varint(-1 if length is None else length) for length in lengths)
    return b"".join(field(2, size) for size in sizes)


def tensors(number: int, described: Described) -> bytes:
    found = b""
    for name, (dtype, lengths) in described.items():
        info = field(1, b"graph:0") + bytes([2 << 3]) + varint(DTYPES[dtype]) + field(3, shape(lengths))
        found += field(number, field(1, name.encode()) + field(2, info))
    return found


def signature(key: str, inputs: Described, outputs: Described, defaults: Iterable[str] = ()) -> bytes:
    optional = b"".join(field(4, field(1, name.encode()) + field(2, b"")) for name in defaults)
    body = tensors(1, inputs) + tensors(2, outputs) + field(3, b"tensorflow/serving/predict") + optional
    return field(5, field(1, key.encode()) + field(2, body))


def graph(tags: Sequence[str], *signatures: bytes) -> bytes:
    info = field(1, b"version") + b"".join(field(4, tag.encode()) for tag in tags)
    return field(2, field(1, info) + field(2, b"\x0a\x03abc") + b"".join(signatures))


def saved_model(*graphs: bytes) -> bytes:
    return bytes([1 << 3, 1]) + b"".join(graphs)


# --- what is read from it ---

ONE = {"x": ("float32", (None, 28, 28))}, {"y": ("float32", (None, 10)), "a": ("int64", (None,))}
SERVING = signature("serving_default", *ONE)
TRAIN = signature("train", {"x": ("string", (None,)), "rate": ("float32", ())}, {"y": ("uint8", None)}, ["rate"])
INIT = signature("__saved_model_init_op", {}, {"op": ("float32", None)})
PB = saved_model(graph(["serve"], SERVING, TRAIN, INIT), graph(["serve", "gpu"], SERVING))


def test_graphs_signatures_and_tensors_are_read() -> None:
    serve, gpu = graphs_in(PB)
    assert serve.tags == ("serve",) and list(serve.signatures) == ["serving_default", "train"]
    assert gpu.tags == ("gpu", "serve") and list(gpu.signatures) == ["serving_default"]
    serving, train = serve.signatures.values()
    assert serving.inputs == (Tensor("x", "float32", (None, 28, 28)),)
    assert serving.outputs == (Tensor("a", "int64", (None,)), Tensor("y", "float32", (None, 10)))
    assert train.inputs == (Tensor("rate", "float32", ()), Tensor("x", "string", (None,)))
    assert train.outputs == (Tensor("y", "uint8", None),) and train.optional == {"rate"}


@pytest.mark.parametrize(
    ("tag_set", "key", "tags", "found"),
    [
        (None, None, ("serve",), "serving_default"),
        ("serve", "train", ("serve",), "train"),
        (" gpu, serve", None, ("gpu", "serve"), "serving_default"),
    ],
)
def test_a_signature_is_chosen_by_tags_and_key(tag_set: Any, key: Any, tags: Any, found: str) -> None:
    signature = chosen(graphs_in(PB), tag_set=tag_set, key=key, where="m")
    assert (signature.tags, signature.key) == (tags, found)


def test_the_only_graph_and_the_only_signature_need_no_name() -> None:
    graphs = graphs_in(saved_model(graph(["mine"], TRAIN)))
    assert chosen(graphs, tag_set=None, key=None, where="m").key == "train"


@pytest.mark.parametrize(
    ("tag_set", "key", "words"),
    [
        ("gpu", None, r"m: expected a graph with the tags 'gpu', received a SavedModel with 'serve' and 'gpu,serve'"),
        (None, "trian", r"expected the signature 'trian', .* with serving_default, train\n.*did you mean 'train'"),
    ],
)
def test_what_is_not_there_is_an_error_that_says_what_is(tag_set: Any, key: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        chosen(graphs_in(PB), tag_set=tag_set, key=key, where="m")


def test_a_saved_model_without_signatures_says_how_to_save_one_with() -> None:
    with pytest.raises(ConfigError, match=r"expected the signature 'serving_default', .* with none\n.*signatures="):
        chosen(graphs_in(saved_model(graph(["serve"]))), tag_set=None, key=None, where="m")


def test_a_folder_is_read_and_each_change_of_it_is_a_version(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(PB)
    (tmp_path / "variables").mkdir()
    first = SavedModelFolder.at(f"{tmp_path}/")
    assert (first.uri, len(first.graphs)) == (str(tmp_path), 2)
    assert SavedModelFolder.at(tmp_path) == first
    (tmp_path / "variables" / "variables.data").write_bytes(b"weights")
    assert SavedModelFolder.at(tmp_path).version != first.version
    assert SavedModelFolder.at(tmp_path.as_uri()).uri == tmp_path.as_uri()


def test_a_path_is_absolute_for_executors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "saved_model.pb").write_bytes(PB)
    monkeypatch.chdir(tmp_path.parent)
    assert SavedModelFolder.at(tmp_path.name).uri == str(tmp_path)


def test_a_folder_of_another_file_system_is_read_by_its_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_bytes(PB)
    elsewhere = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    monkeypatch.setattr(storage, "located", lambda uri: (elsewhere, uri.removeprefix("hdfs://nn/")))
    folder = SavedModelFolder.at("hdfs://nn/model")
    assert (folder.uri, len(folder.graphs)) == ("hdfs://nn/model", 2)


def test_what_is_no_saved_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"could not read .*saved_model.pb(.|\n)*setExportDir"):
        SavedModelFolder.at(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(PB[:-5])
    with pytest.raises(CorruptFileError, match=r"saved_model.pb: expected a SavedModel, received a field of"):
        SavedModelFolder.at(tmp_path)
    with pytest.raises(NotAnExample):
        graphs_in(b"\x12\xff")
