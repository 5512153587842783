"""Configurations: four places, one precedence, every mistake named."""

from __future__ import annotations

import contextlib
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfspark_cnn import config
from tfspark_cnn.config import Config, TrainConfig
from tfspark_cnn.errors import ConfigError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "run.toml"


def refusal(toml: Path, text: str) -> str:
    toml.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        config.load(toml)
    return str(caught.value)


def test_without_anything_the_defaults_are_taken() -> None:
    assert config.load() == Config()


def test_an_empty_file_is_the_defaults(toml: Path) -> None:
    toml.write_text("")
    assert config.load(toml) == Config()


def test_the_configuration_of_the_repository_states_the_defaults() -> None:
    shipped = config.load(ROOT / "conf" / "digits.toml")
    assert shipped.train == Config().train
    assert shipped.data == Config().data
    assert shipped.cluster == Config().cluster
    assert shipped.output == Config().output


@pytest.mark.parametrize("path", sorted((ROOT / "conf").glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_configuration_is_right(path: Path) -> None:
    assert config.load(path).output.dir == f"runs/{path.stem}"


def test_a_flag_wins_over_the_environment_over_toml_over_the_default(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml.write_text("[train]\nepochs = 2\nbatch_size = 2\nseed = 2\n")
    monkeypatch.setenv("TFSPARK_CNN_TRAIN__EPOCHS", "3")
    monkeypatch.setenv("TFSPARK_CNN_TRAIN__BATCH_SIZE", "3")
    loaded = config.load(toml, flags=["train.epochs=4"]).train
    assert (loaded.epochs, loaded.batch_size, loaded.seed, loaded.optimizer) == (4, 3, 2, "adam")


def test_the_last_of_two_flags_wins() -> None:
    assert config.load(flags=["train.epochs=4", "train.epochs=5"]).train.epochs == 5


@pytest.mark.parametrize(
    ("flag", "table", "key", "value"),
    [
        ("train.learning_rate=1", "train", "learning_rate", 1.0),
        ("train.learning_rate = 1e-3", "train", "learning_rate", 0.001),
        ("output.dir=runs/a b=c", "output", "dir", "runs/a b=c"),
        ("output.dir=7", "output", "dir", "7"),
        ('output.dir="quoted"', "output", "dir", "quoted"),
        ("output.tensorboard=True", "output", "tensorboard", True),
        ("output.profile=10,20", "output", "profile", "10,20"),
        ("output.profile=7", "output", "profile", "7"),
        ("cluster.master=spark://host:7077", "cluster", "master", "spark://host:7077"),
    ],
)
def test_the_text_of_a_flag_takes_the_type_of_its_key(flag: str, table: str, key: str, value: object) -> None:
    assert getattr(getattr(config.load(flags=[flag]), table), key) == value


def test_parameters_of_the_network_are_free(toml: Path) -> None:
    toml.write_text("[model.parameters]\nfilters = 8\n")
    parameters = config.load(toml, flags=["model.parameters.dropout=0.1"]).model.parameters
    assert parameters == {"filters": 8, "dropout": 0.1}


@pytest.mark.parametrize("name", ["resnet20", "MobileNetV3Small", "shop.nets:shelves"])
def test_networks_are_named_by_this_package_by_keras_or_by_place(name: str) -> None:
    assert config.load(flags=[f"model.name={name}"]).model.name == name


def test_parameters_of_a_network_elsewhere_are_not_checked_here() -> None:
    loaded = config.load(flags=["model.name=shop.nets:shelves", "model.parameters.rows=3"])
    assert loaded.model.parameters == {"rows": 3}


@pytest.mark.parametrize("name", ["shop.nets:", ":shelves", "shop nets:shelves", "mobilenetv3small"])
def test_a_name_that_is_nearly_one_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="model.name: expected a known network"):
        config.load(flags=[f"model.name={name}"])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[train]\nepoch = 3\n", ["unknown key train.epoch", "run.toml", "did you mean 'epochs'?"]),
        ("[trian]\nepochs = 3\n", ["unknown table [trian]", "did you mean 'train'?"]),
        ("[zzz]\n", ["unknown table [zzz]", "use one of: cluster, data, model, output, train"]),
        ("train = 3\n", ["train", "expected the table [train]"]),
        ("[model]\nparameters = 3\n", ["model.parameters", "expected the table [model.parameters]"]),
        ("[train.epochs]\nx = 3\n", ["train.epochs", "expected a whole number", "{'x': 3}"]),
        ('[train]\nepochs = "3"\n', ["train.epochs", "expected a whole number", "'3' (str)", "set train.epochs = 20"]),
        ("[train]\nepochs = 3.5\n", ["expected a whole number", "3.5 (float)"]),
        ("[train]\nepochs = true\n", ["expected a whole number", "True (bool)"]),
        ("[train]\nepochs = 0\n", ["expected a whole number from 1 on", "received 0"]),
        ("[train]\nlearning_rate = 0.0\n", ["expected a number greater than 0", "received 0.0"]),
        ("[train]\nlearning_rate = inf\n", ["train.learning_rate", "received inf"]),
        ("[train]\nweight_decay = inf\n", ["train.weight_decay", "received inf"]),
        ("[train]\nlearning_rate = nan\n", ["train.learning_rate", "received nan"]),
        ('[train]\noptimizer = "sdg"\n', ["expected one of adam, adamw, nadam, rmsprop, sgd", "received 'sdg'"]),
        (
            '[train]\nprecision = "bfloat16"\n',
            ["train.precision", "expected one of float32, mixed_bfloat16, mixed_float16", "received 'bfloat16'"],
        ),
        ("[data]\ntest_fraction = 1.0\n", ["a number between 0 and 1", "received 1.0"]),
        ('[data]\nsource = ""\n', ["a text that is not empty"]),
        ("[output]\ntensorboard = 1\n", ["expected true or false", "1 (int)", "set output.tensorboard = false"]),
        ("[output]\ntensorboard_port = 70000\n", ["output.tensorboard_port", "expected a port", "6006, the default"]),
        ('[output]\nprofile = "20,10"\n', ["output.profile", 'expected a text as "10,20"', "received '20,10'"]),
        ("[output]\nimages = 101\n", ["expected a whole number from 0 to 100", "received 101"]),
        ("[cluster]\nreservation_timeout = -1\n", ["expected seconds greater than 0"]),
        ("[train]\nepochs 3\n", ["run.toml, line 2, column 8"]),
        ("[train", ["run.toml"]),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_place_and_cure(toml: Path, text: str, told: list[str]) -> None:
    message = refusal(toml, text)
    assert [part for part in [*told, "to do:"] if part not in message] == []


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("train.epochs", "expected --set table.key=value, received 'train.epochs'"),
        ("train.epochs=three", "train.epochs in --set train.epochs=three: expected a whole number, received 'three'"),
        ("train.epoch=3", "unknown key train.epoch in --set train.epoch=3"),
        ("epochs=3", r"unknown table \[epochs\]"),
        ("output.tensorboard=yes", "expected true or false, received 'yes'"),
    ],
)
def test_a_mistake_in_a_flag_names_the_flag(flag: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        config.load(flags=[flag])


def test_a_mistake_in_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFSPARK_CNN_TRAIN__EPOCH", "3")
    with pytest.raises(ConfigError, match="unknown key train.epoch in TFSPARK_CNN_TRAIN__EPOCH"):
        config.load()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        config.load(tmp_path / "none.toml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a TOML file"):
        config.load(tmp_path)


def test_bytes_that_are_no_text_are_refused(toml: Path) -> None:
    toml.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        config.load(toml)


def test_a_file_may_begin_with_the_mark_that_editors_on_windows_write(toml: Path) -> None:
    toml.write_bytes(b"\xef\xbb\xbf[train]\r\nepochs = 7\r\n")
    assert config.load(toml).train.epochs == 7


def test_a_table_made_in_python_is_validated_too() -> None:
    with pytest.raises(ConfigError, match=r"TrainConfig\.epochs: expected a whole number from 1 on, received 0"):
        TrainConfig(epochs=0)


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Config().train.epochs = 3  # type: ignore[misc]


def test_a_configuration_pickles_and_becomes_json() -> None:
    loaded = config.load(flags=["model.parameters.filters=8"])
    assert pickle.loads(pickle.dumps(loaded)) == loaded
    assert loaded.as_dict()["model"]["parameters"] == {"filters": 8}


@given(st.text())
def test_any_text_after_the_equals_sign_is_taken_or_refused_by_us(text: str) -> None:
    with contextlib.suppress(ConfigError):
        config.load(flags=[f"train.epochs={text}"])


@given(st.text())
def test_any_text_as_a_folder_is_a_text(text: str) -> None:
    try:
        assert isinstance(config.load(flags=[f"output.dir={text}"]).output.dir, str)
    except ConfigError:
        assert not text.strip() or text.strip() in ('""', "''")
