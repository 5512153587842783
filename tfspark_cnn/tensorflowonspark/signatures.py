"""What a SavedModel can be asked for: its graphs by tags, their signatures, and the tensors of these. Pure.

Read from the bytes of `saved_model.pb` (tensorflow/core/protobuf/saved_model.proto, meta_graph.proto), without
TensorFlow and without looking at the graphs themselves, so that the driver knows columns and types before a job runs.

Example:
    >>> chosen(graphs_in(pb), tag_set=None, key=None, where="/models/1").outputs       # doctest: +SKIP
    (Tensor(name='probability', dtype='float32', shape=(None, 10)),)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tfspark_cnn.data.example import fields, message
from tfspark_cnn.errors import ConfigError, did_you_mean

SERVE = "serve"
SERVING_DEFAULT = "serving_default"

_DTYPES = {
    1: "float32", 2: "float64", 3: "int32", 4: "uint8", 5: "int16", 6: "int8", 7: "string", 8: "complex64", 9: "int64",
    10: "bool", 14: "bfloat16", 17: "uint16", 18: "complex128", 19: "float16", 20: "resource", 21: "variant",
    22: "uint32", 23: "uint64",
}  # fmt: skip
"""The numbers of tensorflow/core/framework/types.proto; of others no column can be."""


@dataclass(frozen=True)
class Tensor:
    """An input or output of a signature.

    Attributes:
        name: by which the signature knows it.
        dtype: TensorFlow's name; `string` for bytes.
        shape: with the axis of rows, None for a length that is not known; None if not even the rank is known.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """What can be called.

    Attributes:
        key: its name.
        tags: of its graph.
        inputs: by name.
        outputs: by name.
        optional: names of inputs that have defaults.
    """

    key: str
    tags: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Graph:
    """A graph of a SavedModel, and its signatures by key."""

    tags: tuple[str, ...]
    signatures: dict[str, Signature]


def graphs_in(saved_model: bytes) -> tuple[Graph, ...]:
    """Gives the graphs of a `saved_model.pb`.

    Raises:
        NotAnExample: the bytes are none of a protobuf message.
    """
    return tuple(_graph(message(body)) for number, body in fields(saved_model) if number == 2)


def chosen(graphs: Sequence[Graph], *, tag_set: str | None, key: str | None, where: str) -> Signature:
    """Gives the signature that is asked for.

    Args:
        graphs: of the SavedModel.
        tag_set: tags with commas between; None: `serve`, or those of the only graph.
        key: of the signature; None: `serving_default`, or the only one.
        where: the SavedModel, for errors.

    Raises:
        ConfigError: there is no graph of these tags, or no such signature; it says which there are.
    """
    signatures = _tagged(graphs, tag_set, where).signatures
    wanted = key if key is not None else _default(signatures)
    if wanted is None or wanted not in signatures:
        there = ", ".join(signatures) or "none"
        raise ConfigError(
            f"{where}: expected the signature {wanted or SERVING_DEFAULT!r}, received a SavedModel with {there}",
            hint=did_you_mean(
                wanted or SERVING_DEFAULT, list(signatures),
                "setSignatureDefKey(...) to one of these, or save it with one: tf.saved_model.save(signatures=)",
            ),
        )  # fmt: skip
    return signatures[wanted]


def _tagged(graphs: Sequence[Graph], tag_set: str | None, where: str) -> Graph:
    wanted = {SERVE} if tag_set is None else {tag.strip() for tag in tag_set.split(",")}
    for graph in graphs:
        if set(graph.tags) == wanted:
            return graph
    if tag_set is None and len(graphs) == 1:
        return graphs[0]
    there = " and ".join(f"{','.join(graph.tags)!r}" for graph in graphs) or "none"
    raise ConfigError(
        f"{where}: expected a graph with the tags {tag_set or SERVE!r}, received a SavedModel with {there}",
        hint="setTagSet(...) to one of these",
    )


def _default(signatures: dict[str, Signature]) -> str | None:
    if SERVING_DEFAULT in signatures or len(signatures) != 1:
        return SERVING_DEFAULT
    return next(iter(signatures))


def _graph(data: bytes) -> Graph:
    parts = [(number, message(body)) for number, body in fields(data) if number in (1, 5)]
    tags = tuple(
        sorted(message(tag).decode() for part, info in parts if part == 1 for at, tag in fields(info) if at == 4)
    )
    signatures = (_signature(*_entry(entry), tags) for part, entry in parts if part == 5)
    return Graph(tags, {one.key: one for one in signatures if not one.key.startswith("__saved_model")})


def _signature(key: str, data: bytes, tags: tuple[str, ...]) -> Signature:
    def tensors(place: int) -> Iterator[tuple[str, bytes]]:
        return (_entry(message(body)) for number, body in fields(data) if number == place)

    inputs, outputs = (tuple(_tensor(*one) for one in sorted(tensors(place))) for place in (1, 2))
    return Signature(key, tags, inputs, outputs, frozenset(name for name, _ in tensors(4)))


def _tensor(name: str, data: bytes) -> Tensor:
    dtype, parts = "unknown", False
    shape: tuple[int | None, ...] | None = ()
    for number, body in fields(data):
        if number == 2:
            dtype = _DTYPES.get(int(body) if isinstance(body, int) else 0, "unknown")
        elif number == 3:
            shape = _shape(message(body))
        elif number in (4, 5):  # of a sparse or ragged tensor, which is several
            parts = True
    return Tensor(name, "composite" if parts else dtype, shape)


def _shape(data: bytes) -> tuple[int | None, ...] | None:
    lengths: list[int | None] = []
    for number, body in fields(data):
        if number == 3 and body:
            return None
        if number == 2:
            sizes = [size for at, size in fields(message(body)) if at == 1 and isinstance(size, int)]
            lengths.append(_length(sizes[-1] if sizes else 0))
    return tuple(lengths)


def _length(size: int) -> int | None:
    return None if size >= 1 << 63 else size  # -1, as protobuf writes it


def _entry(data: bytes) -> tuple[str, bytes]:
    found = {number: message(body) for number, body in fields(data)}
    return found.get(1, b"").decode(), found.get(2, b"")
