"""What a `.keras` file says of its network, without TensorFlow: a zip archive with the configuration as JSON.

Example:
    >>> described(Path("model.keras").read_bytes(), where="model.keras").image_shape
    (8, 8, 1)
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfspark_cnn.errors import ConfigError, CorruptFileError

_CONFIG = "config.json"


@dataclass(frozen=True)
class Described:
    """A network, as its configuration has it.

    Attributes:
        image_shape: `(height, width, channels)` of what it takes; None where it takes images of any size, or a class of
            one's own does not tell.
        layers: their names; none where a class of one's own does not tell.
    """

    image_shape: tuple[int, ...] | None
    layers: tuple[str, ...]


def described(saved: bytes, *, where: str) -> Described:
    """Reads the configuration of a saved network.

    Args:
        saved: the bytes of the file.
        where: it is, for errors.

    Raises:
        CorruptFileError: it is no such file, or cut.
        ConfigError: its network takes several inputs.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(saved)) as archive:
            network = json.loads(archive.read(_CONFIG))
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise CorruptFileError(
            f"{where}: expected a network as Keras 3 saves it, a zip archive with {_CONFIG}, received: {error}",
            hint="save it anew: model.save('model.keras'); files of Keras 2 (.h5) are first to be loaded and saved so",
        ) from error
    config = network.get("config") or {}
    layers = [layer["config"] | {"is_input": layer.get("class_name") == "InputLayer"} for layer in _layers(config)]
    shapes = _shapes(network, layers)
    if len(shapes) > 1:
        raise ConfigError(
            f"{where}: expected a network with one input, received {len(shapes)}: {shapes}",
            hint="score it in a program of your own, as with mapInArrow",
        )
    return Described(_image_shape(shapes), tuple(layer["name"] for layer in layers if "name" in layer))


def _layers(config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = config.get("layers", [])
    return [layer for layer in found if isinstance(layer, dict) and isinstance(layer.get("config"), dict)]


def _shapes(network: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> list[Sequence[int | None]]:
    """Gives the shapes of what goes in, each with the axis of rows."""
    of_layers = [layer["batch_shape"] for layer in layers if layer["is_input"] and layer.get("batch_shape")]
    built = (network.get("build_config") or {}).get("input_shape")
    return of_layers or ([built] if isinstance(built, list) and built else [])


def _image_shape(shapes: Sequence[Sequence[int | None]]) -> tuple[int, ...] | None:
    sides = tuple(axis for axis in shapes[0][1:] if axis is not None) if shapes else ()
    return sides if shapes and len(sides) == len(shapes[0]) - 1 else None
