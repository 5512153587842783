"""What a training run is told: five tables, validated once, from four places.

A setting is taken from the first that has it: a flag (`--set train.epochs=3`), the environment
(`TFSPARK_CNN_TRAIN__EPOCHS=3`), the TOML file, the default below.

Example:
    >>> load("conf/digits.toml", flags=("train.epochs=3",)).train.epochs
    3
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias

from tfspark_cnn import augmentation, env, networks, recipes
from tfspark_cnn.errors import ConfigError, did_you_mean

Scalar: TypeAlias = str | int | float | bool


class Optimizer(StrEnum):
    """The optimizers a configuration can name; each is the Keras optimizer of that name."""

    ADAM = "adam"
    ADAMW = "adamw"
    NADAM = "nadam"
    RMSPROP = "rmsprop"
    SGD = "sgd"


class Precision(StrEnum):
    """In which types a network computes: Keras' dtype policies of these names. Weights are float32 in all of them."""

    FLOAT32 = "float32"
    MIXED_BFLOAT16 = "mixed_bfloat16"
    MIXED_FLOAT16 = "mixed_float16"


class Schedule(StrEnum):
    """How the learning rate goes on after its warm-up: as it is, or down to 0 as half a cosine (arXiv:1608.03983)."""

    CONSTANT = "constant"
    COSINE = "cosine"


def _setting(default: Scalar, expected: str, holds: Callable[[Any], bool]) -> Any:
    return field(default=default, metadata={"expected": expected, "holds": holds})


def _at_least(lowest: int, default: int) -> Any:
    return _setting(default, f"a whole number from {lowest} on", lambda value: value >= lowest)


def _positive(default: float, unit: str = "a number") -> Any:
    return _setting(default, f"{unit} greater than 0", lambda value: 0 < value < math.inf)


def _not_negative(default: float) -> Any:
    return _setting(default, "a number from 0 on", lambda value: 0 <= value < math.inf)


def _part(default: float) -> Any:
    return _setting(default, "a number from 0 on and below 1", lambda value: 0 <= value < 1)


def _are_steps(text: str) -> bool:
    if not re.fullmatch(r"|[1-9]\d*(,[1-9]\d*)?", text):
        return False
    first, _, last = text.partition(",")
    return not last or int(first) <= int(last)


def _text(default: str) -> Any:
    return _setting(default, "a text that is not empty", bool)


class _Table:
    """Validates its fields when made, so that an instance is always right."""

    def __post_init__(self) -> None:
        for setting in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            if "holds" in setting.metadata:
                key = f"{type(self).__name__}.{setting.name}"
                object.__setattr__(self, setting.name, _checked(setting, getattr(self, setting.name), key=key))


@dataclass(frozen=True)
class DataConfig(_Table):
    """Table `[data]`: where the rows come from.

    Attributes:
        source: one of the sources below.
        dir: the folder with its files, or its archive, for a source that is not bundled; else empty.
        test_fraction: the part of the rows that is held out for the accuracy.
        partitions: of the DataFrame; any number trains the same rows.
        image_size: the side in pixels to which files of images are brought; other sources have images of one size.
    """

    source: str = _text("digits")
    dir: str = _setting("", "a text", lambda value: True)
    test_fraction: float = _setting(0.2, "a number between 0 and 1, both excluded", lambda value: 0 < value < 1)
    partitions: int = _at_least(1, 4)
    image_size: int = _at_least(1, 224)


@dataclass(frozen=True)
class ModelConfig:
    """Table `[model]`: the network.

    Attributes:
        name: a network below, one of `keras.applications`, or your own function as `package.module:function`.
        parameters: passed to the network's builder by name; table `[model.parameters]`.
    """

    name: str = _text("small_cnn")
    parameters: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validates the name and the names of parameters; the network's builder checks their values."""
        _checked(fields(self)[0], self.name, key="ModelConfig.name")
        if networks.is_place(self.name) or self.name in networks.APPLICATIONS:
            return  # what they take is seen on a node
        if self.name not in networks.NETWORKS:
            known = [*networks.NETWORKS, *networks.APPLICATIONS]
            raise ConfigError(
                f"model.name: expected a known network, received {self.name!r}", hint=suggestion(self.name, known)
            )
        for unknown in sorted(set(self.parameters) - set(networks.NETWORKS[self.name])):
            raise ConfigError(
                f"model.parameters: unknown parameter {unknown!r} of network {self.name}",
                hint=suggestion(unknown, networks.NETWORKS[self.name]),
            )


@dataclass(frozen=True)
class TrainConfig(_Table):
    """Table `[train]`: how the network is trained.

    Attributes:
        epochs: passes over the rows.
        batch_size: rows in a step of one node; the global batch is this times `cluster.num_workers`.
        learning_rate: the optimizer's.
        optimizer: the Keras optimizer of that name.
        seed: of the split, the initial weights, the order of rows, dropout and augmentation.
        precision: in which types the network computes: Keras' dtype policies; weights stay float32.
        schedule: how the learning rate goes on after its warm-up: as it is, or down to 0 as half a cosine.
        warmup_epochs: in which the learning rate rises from 0.
        momentum: of sgd and rmsprop; others have moments of their own.
        weight_decay: the part of the weights that a step takes away, times the learning rate; biases and the weights of
            normalisation stay. Networks here have the decay of their papers already, as a regulariser.
        label_smoothing: the part of a label that goes to all classes alike.
        augmentation: what changes the images of each batch anew, as `flip, crop:4, mixup:0.2`; empty: nothing.
        recipe: one of the recipes below, whose settings stand for those that are not given; empty: none.
    """

    epochs: int = _at_least(1, 20)
    batch_size: int = _at_least(1, 32)
    learning_rate: float = _positive(0.002)
    optimizer: str = _setting("adam", f"one of {', '.join(Optimizer)}", lambda value: value in list(Optimizer))
    seed: int = _at_least(0, 0)
    precision: str = _setting("float32", f"one of {', '.join(Precision)}", lambda value: value in list(Precision))
    schedule: str = _setting("constant", f"one of {', '.join(Schedule)}", lambda value: value in list(Schedule))
    warmup_epochs: float = _not_negative(0.0)
    momentum: float = _part(0.0)
    weight_decay: float = _not_negative(0.0)
    label_smoothing: float = _part(0.0)
    augmentation: str = _setting("", "a text", lambda value: True)
    recipe: str = _setting("", "a text", lambda value: True)

    def __post_init__(self) -> None:
        """Validates each setting, and what no setting says alone."""
        super().__post_init__()
        augmentation.parse(self.augmentation)
        if self.recipe:
            recipes.recipe(self.recipe)
        if self.warmup_epochs >= self.epochs:
            raise ConfigError(
                f"train.warmup_epochs is {self.warmup_epochs:g}, expected less than train.epochs, {self.epochs}",
                hint="warm up for less, or train for longer: the learning rate would never reach its height",
            )
        if self.momentum and self.optimizer not in (Optimizer.SGD, Optimizer.RMSPROP):
            raise ConfigError(
                f"train.momentum is {self.momentum:g}, and {self.optimizer} takes none",
                hint='set optimizer = "sgd", or leave momentum out',
            )

    @classmethod
    def of(cls, given: Mapping[str, Any], *, workers: int) -> TrainConfig:
        """Gives the settings, those that are not given from the recipe that they name.

        Args:
            given: by name.
            workers: nodes that share a step.

        Raises:
            ConfigError: a value is none that the setting can have.

        Example:
            >>> TrainConfig.of({"recipe": "resnet20", "batch_size": 64}, workers=2).schedule
            'cosine'
        """
        some = cls(**{name: given[name] for name in ("batch_size", "recipe") if name in given})
        return cls(**recipes.completed(given, global_rows=some.batch_size * workers))

    def steps(self, rows: int, *, sharing: int) -> int:
        """Gives how many steps an epoch has.

        Args:
            rows: of it.
            sharing: how many nodes take a step together.
        """
        return math.ceil(rows / (self.batch_size * sharing))

    @property
    def scheduled(self) -> bool:
        """Whether the learning rate changes, so that the number of rows must be known."""
        return self.schedule != Schedule.CONSTANT or self.warmup_epochs > 0


@dataclass(frozen=True)
class ClusterConfig(_Table):
    """Table `[cluster]`: how many nodes, and on which Spark.

    Attributes:
        num_workers: nodes that train: the chief and the workers together.
        num_ps: parameter servers besides them.
        reservation_timeout: seconds until every node must have registered.
        max_restarts: how often the nodes may begin anew, from the last checkpoint, after one has died.
        master: Spark's master; `local` is an embedded Spark with as many slots as are needed.
    """

    num_workers: int = _at_least(1, 2)
    num_ps: int = _at_least(0, 0)
    reservation_timeout: float = _positive(600.0, "seconds")
    max_restarts: int = _at_least(0, 0)
    master: str = _text("local")


@dataclass(frozen=True)
class OutputConfig(_Table):
    """Table `[output]`: what a run leaves.

    Attributes:
        dir: folder for the saved model, the event files and Spark's log; created if missing.
        tensorboard: whether a TensorBoard is served while the cluster lives.
        tensorboard_host: the address it listens on; empty: that of Spark's driver.
        tensorboard_port: the first port to try, the next if it is in use; 0: any free one.
        images: how many of the first batch TensorBoard shows, as the network gets them.
        profile: first and last step that TensorFlow's profiler traces, as `10,20`; empty: none.
    """

    dir: str = _text("runs/digits")
    tensorboard: bool = _setting(False, "true or false", lambda value: True)
    tensorboard_host: str = _setting("", "a text", lambda value: True)
    tensorboard_port: int = _setting(6006, "a port", lambda value: 0 <= value <= 65535)
    images: int = _setting(0, "a whole number from 0 to 100", lambda value: 0 <= value <= 100)
    profile: str = _setting("", 'a text as "10,20"', lambda value: _are_steps(value))


@dataclass(frozen=True)
class Config:
    """A whole training run."""

    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    cluster: ClusterConfig = field(default_factory=ClusterConfig)
    output: OutputConfig = field(default_factory=OutputConfig)

    def steps(self, rows: int) -> int:
        """Gives how many steps an epoch of so many rows has; under parameter servers of all workers together."""
        return self.train.steps(rows, sharing=1 if self.cluster.num_ps else self.cluster.num_workers)

    def as_dict(self) -> dict[str, Any]:
        """Gives the tables as plain dictionaries, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class _Given:
    """One setting, and where it was given: a flag and a variable are still text, a TOML value has its type."""

    value: Any
    origin: str
    is_text: bool = False
    rank: int = 0  # of the place: a file, the environment, a flag


TABLES: dict[str, Any] = {
    "data": DataConfig,
    "model": ModelConfig,
    "train": TrainConfig,
    "cluster": ClusterConfig,
    "output": OutputConfig,
}
"""The tables of a file, by name."""

_FREE_TABLE = "model.parameters."
_NO_RECIPE = ("", '""', "''")
"""Also as a flag or a variable may have it."""

_TYPES: dict[str, tuple[type, str]] = {
    "str": (str, "a text"),
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "bool": (bool, "true or false"),
}


def load(path: str | Path | None = None, *, flags: Iterable[str] = ()) -> Config:
    """Gives the configuration of a run.

    Args:
        path: of a TOML file; None takes the defaults.
        flags: `table.key=value`, as `--set` gives them; they win over everything else.

    Raises:
        ConfigError: The file cannot be read, a key is unknown, or a value is none that the key can have.
    """
    given = _from_toml(Path(path)) if path is not None else {}
    given |= {key: _Given(text, f"in {env.variable_of(key)}", True, 1) for key, text in env.overrides().items()}
    given |= dict(_from_flag(flag) for flag in flags)
    for key, setting in given.items():
        _refuse_unknown(key, setting.origin)
    chosen = _without_what_a_recipe_sets(given)
    tables = {name: _values(name, chosen) for name in TABLES}
    made = {name: kind(**tables[name]) for name, kind in TABLES.items() if kind is not TrainConfig}
    return Config(train=TrainConfig.of(tables["train"], workers=made["cluster"].num_workers), **made)


def _without_what_a_recipe_sets(given: Mapping[str, _Given]) -> Mapping[str, _Given]:
    """Leaves out settings of a recipe that stand in a place over which that of the recipe itself wins."""
    recipe = given.get("train.recipe")
    if recipe is None or recipe.value in _NO_RECIPE:
        return given
    theirs = {f"train.{name}" for name in recipes.SETTINGS}
    return {key: one for key, one in given.items() if key not in theirs or one.rank >= recipe.rank}


def suggestion(name: str, known: Iterable[str]) -> str:
    """Gives the cure for a name that is not known: the one that was probably meant, or all there are."""
    choices = sorted(known)
    return did_you_mean(name, choices, f"use one of: {', '.join(choices)}")


def _from_toml(path: Path) -> dict[str, _Given]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise _syntax_error(path, error) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text ({error.reason})", hint="save it as UTF-8") from error
    except OSError as error:
        reason = error.strerror or "cannot be read"
        raise ConfigError(f"expected a TOML file, received {path}: {reason}", hint="pass conf/digits.toml") from error
    return {key: _Given(value, f"in {path}") for key, value in _flat(tables)}


def _syntax_error(path: Path, error: tomllib.TOMLDecodeError) -> ConfigError:
    text = str(error)
    # Attributes for the place came with Python 3.14 only; before, it is the end of the message.
    place = re.search(r" \(at line (\d+), column (\d+)\)$", text)
    if place is None:
        return ConfigError(f"{path} is not TOML: {text}", hint="mend the end of the file")
    line, column = place.groups()
    reason = text[: place.start()]
    return ConfigError(f"{path}, line {line}, column {column}: {reason}", hint=f"mend line {line}; see https://toml.io")


def _flat(tables: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in tables.items():
        # A table where a value belongs stays whole, so that the error is about its type.
        if isinstance(value, dict) and f"{prefix}{name}." in {f"{table}." for table in TABLES} | {_FREE_TABLE}:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _from_flag(flag: str) -> tuple[str, _Given]:
    key, equals, text = flag.partition("=")
    if not equals:
        raise ConfigError(f"expected --set table.key=value, received {flag!r}", hint="write --set train.epochs=3")
    return key.strip(), _Given(text.strip(), f"in --set {flag}", True, 2)


def _refuse_unknown(key: str, origin: str) -> None:
    table, _, name = key.partition(".")
    if table not in TABLES:
        raise ConfigError(f"unknown table [{table}] {origin}", hint=suggestion(table, TABLES))
    known = [setting.name for setting in fields(TABLES[table])]
    if not name:
        raise ConfigError(f"{table} {origin} is a value, expected the table [{table}]", hint=f"write [{table}]")
    if name not in known and not key.startswith(_FREE_TABLE):
        raise ConfigError(f"unknown key {key} {origin}", hint=suggestion(name, known))


def _values(name: str, given: Mapping[str, _Given]) -> dict[str, Any]:
    kind = TABLES[name]
    values = {
        setting.name: _value(setting, given[f"{name}.{setting.name}"], f"{name}.{setting.name}")
        for setting in fields(kind)
        if f"{name}.{setting.name}" in given
    }
    if kind is ModelConfig:
        values["parameters"] = _parameters(given)
    return values


def _value(setting: Field[Any], given: _Given, key: str) -> Any:
    if key == _FREE_TABLE.rstrip("."):
        raise ConfigError(f"{key} {given.origin} is a value, expected the table [{key}]", hint=f"write [{key}]")
    value = _from_text(given.value, str(setting.type)) if given.is_text else given.value
    return _checked(setting, value, key=key, origin=given.origin)


def _parameters(given: Mapping[str, _Given]) -> dict[str, Scalar]:
    chosen = {key.removeprefix(_FREE_TABLE): one for key, one in given.items() if key.startswith(_FREE_TABLE)}
    return {name: _from_text(one.value, "any") if one.is_text else one.value for name, one in chosen.items()}


def _from_text(text: str, expected_type: str) -> Any:
    """Reads the value of a flag or a variable as TOML does; what TOML cannot read is a text without quotes."""
    if expected_type == "bool":
        text = text.lower()  # TRUE and False are what people write into an environment
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return text if expected_type == "str" and not isinstance(value, str) else value


def _checked(setting: Field[Any], value: Any, *, key: str, origin: str = "") -> Any:
    kind, noun = _TYPES[str(setting.type)]
    place = f"{key} {origin}".strip()
    if kind is float and type(value) is int:
        value = float(value)
    # bool is an int in Python, but nobody means one epoch by true.
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        received = f"{value!r} ({type(value).__name__})"
        raise ConfigError(f"{place}: expected {noun}, received {received}", hint=_example(setting, key))
    if not setting.metadata["holds"](value):
        raise ConfigError(
            f"{place}: expected {setting.metadata['expected']}, received {value!r}", hint=_example(setting, key)
        )
    return value


def _example(setting: Field[Any], key: str) -> str:
    default = setting.default
    shown = str(default).lower() if isinstance(default, bool) else repr(default).replace("'", '"')
    return f"set {key} = {shown}, the default, or another such value"
