"""Recipes: whole, of networks that there are, and second to what is given."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfspark_cnn import config, recipes
from tfspark_cnn.config import TrainConfig
from tfspark_cnn.errors import ConfigError
from tfspark_cnn.networks import NETWORKS


def test_there_is_a_recipe_for_each_network_and_it_is_a_right_configuration() -> None:
    assert sorted(recipes.RECIPES) == sorted(NETWORKS)
    for name in recipes.RECIPES:
        made = TrainConfig.of({"recipe": name, "batch_size": 16}, workers=4)
        assert made.recipe == name and made.learning_rate == pytest.approx(
            recipes.RECIPES[name].learning_rate * 64 / recipes.RECIPES[name].rows
        )


def test_the_recipe_of_the_small_network_is_the_shipped_configuration() -> None:
    assert TrainConfig.of({"recipe": "small_cnn"}, workers=2) == TrainConfig(recipe="small_cnn")


def test_a_file_a_flag_or_a_variable_wins_over_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.toml").write_text('[train]\nrecipe = "resnet20"\nbatch_size = 64\n')
    monkeypatch.setenv("TFSPARK_CNN_TRAIN__WARMUP_EPOCHS", "3")
    made = config.load(tmp_path / "run.toml", flags=["train.augmentation=flip", "cluster.num_workers=4"]).train
    assert (made.optimizer, made.momentum, made.schedule, made.epochs) == ("sgd", 0.9, "cosine", 182)
    assert made.learning_rate == pytest.approx(0.2), "for twice the rows"
    assert (made.augmentation, made.warmup_epochs) == ("flip", 3.0)


def test_a_recipe_that_is_named_nearer_wins_over_what_a_file_says(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text('[train]\nepochs = 7\noptimizer = "adam"\nbatch_size = 64\nrecipe = "small_cnn"\n')
    assert config.load(file).train.epochs == 7
    made = config.load(file, flags=["train.recipe=resnet20", "train.schedule=constant"]).train
    assert (made.optimizer, made.epochs, made.batch_size, made.schedule) == ("sgd", 182, 64, "constant")
    assert config.load(file, flags=["train.recipe="]).train.optimizer == "adam"


def test_the_warm_up_is_as_large_a_part_of_other_epochs_and_ends_before_them() -> None:
    assert TrainConfig.of({"recipe": "resnet50", "epochs": 12}, workers=1).warmup_epochs == pytest.approx(0.5)
    with pytest.raises(ConfigError, match=r"train\.warmup_epochs is 5, expected less than train\.epochs, 3"):
        TrainConfig(epochs=3, warmup_epochs=5)


def test_another_optimizer_has_a_learning_rate_of_its_own() -> None:
    made = TrainConfig.of({"recipe": "resnet20", "optimizer": "adam"}, workers=1)
    assert (made.learning_rate, made.momentum, made.schedule) == (TrainConfig().learning_rate, 0.0, "cosine")


def test_a_recipe_that_is_not_there_and_what_no_optimizer_takes_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"train\.recipe: expected .*, received 'resnt20'\n.*did you mean 'resnet20'"):
        TrainConfig.of({"recipe": "resnt20"}, workers=1)
    with pytest.raises(ConfigError, match=r"train\.momentum is 0\.9, and adam takes none\n.*sgd"):
        TrainConfig(momentum=0.9)
    with pytest.raises(ConfigError, match=r"label_smoothing: expected a number from 0 on and below 1, received 1\.0"):
        TrainConfig(label_smoothing=1.0)


@pytest.mark.parametrize(("rows", "sharing", "steps"), [(1000, 1, 32), (1000, 2, 16), (64, 2, 1), (65, 2, 2)])
def test_an_epoch_has_as_many_steps_as_all_nodes_together_need(rows: int, sharing: int, steps: int) -> None:
    assert TrainConfig(batch_size=32).steps(rows, sharing=sharing) == steps
