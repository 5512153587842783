"""`tfspark-cnn train` on folders of image files: the classes are those that are there, and the nodes decode."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from test_cli import assert_two_lines, cli

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.beside
SIZES = {"dark": 40, "light": 200}
SETTINGS = (
    "data.source=image_folder", "data.image_size=8", "train.epochs=4", "train.batch_size=8", "train.learning_rate=0.01",
    "cluster.num_workers=1", "model.parameters.filters=4", "model.parameters.hidden=8", "output.dir=run",
)  # fmt: skip


def images(folder: Path, *, each: int, seed: int) -> None:
    """Writes JPEG files of several sizes, a folder for each class."""
    from PIL import Image

    chance = np.random.default_rng(seed)
    for name, mean in SIZES.items():
        (folder / name).mkdir(parents=True)
        for number in range(each):
            side = int(chance.integers(9, 20))
            pixels = np.clip(chance.normal(mean, 10, (side, side + 1, 3)), 0, 255).astype("uint8")
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "jpeg")
            (folder / name / f"{number}.JPEG").write_bytes(file.getvalue())


@pytest.mark.timeout(240)
def test_a_network_is_trained_on_folders_and_judged_by_those_held_out(tmp_path: Path) -> None:
    images(tmp_path / "pets" / "train", each=20, seed=0)
    images(tmp_path / "pets" / "val", each=5, seed=1)
    given = [word for one in (*SETTINGS, "data.dir=pets") for word in ("--set", one)]
    done = cli("train", str(ROOT / "conf" / "digits.toml"), "--json", *given, cwd=tmp_path, timeout_s=200)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["images"], told["test_rows"], told["accuracy"]) == (4 * 40, 10, 1.0)


def test_a_folder_that_is_not_there_is_told_in_two_lines(tmp_path: Path) -> None:
    given = [word for one in SETTINGS for word in ("--set", one)]
    done = cli("train", str(ROOT / "conf" / "digits.toml"), *given, cwd=tmp_path)
    assert_two_lines(done, "expected a folder with the files of image_folder", "set data.dir to a folder with")
