"""Which folder `tfspark-cnn tensorboard` means, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfspark_cnn.cli.main import main
from tfspark_cnn.cli.tensorboard import log_dir_of


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with its event files."""
    train = tmp_path / "digits" / "logs" / "20260101-000000" / "chief-0" / "train"
    train.mkdir(parents=True)
    (train / "events.out.tfevents.1.host").touch()
    return tmp_path / "digits"


def test_the_folder_of_a_run_its_logs_and_its_configuration_mean_the_same(run: Path) -> None:
    conf = run.parent / "digits.toml"
    conf.write_text(f'[output]\ndir = "{run}"\n')
    for target in (str(run), f"file://{run}", str(run / "logs"), str(conf)):
        assert log_dir_of(target) == str(run / "logs")
    one = run / "logs" / "20260101-000000"
    assert log_dir_of(str(one)) == str(one)
    assert log_dir_of("s3://bucket/logs") == "s3://bucket/logs"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nowhere", "nowhere: there is nothing\n  to do: pass output.dir, as runs/digits\n"),
        ("empty", "empty, received none\n  to do: pass the log_dir of a run; the first come when its nodes begin"),
        ("file", "file\n  to do: pass its folder: "),
        ("nowhere.toml", "nowhere.toml: No such file or directory\n  to do: pass conf/digits.toml\n"),
    ],
)
def test_what_has_no_event_files_is_one_line_and_its_cure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], target: str, told: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as ended:
        main(["tensorboard", str(tmp_path / target)])
    error = capsys.readouterr().err
    assert ended.value.code == 2 and told in error and error.startswith("error: expected ")
    assert len(error.splitlines()) == 2
