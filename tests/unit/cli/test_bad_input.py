"""What bad input gets, verb by verb: one line of error, one of cure, no traceback, nothing started."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfspark_cnn.cli import main

SILENT = "spark://no-such-host.invalid:7077"

TABLE = [
    # verb and arguments, exit code, what the error says, what the cure says
    ("train missing.toml", 2, "missing.toml: No such file", "pass conf/digits.toml"),
    ("train .", 2, "received .: Is a directory", "pass conf/digits.toml"),
    ("train cut.toml", 2, "cut.toml, line 2, column ", "mend line 2"),
    ("train key.toml", 2, "unknown key train.epoch in key.toml", "did you mean 'epochs'?"),
    ("train type.toml", 2, "train.epochs in type.toml: expected a whole number", "set train.epochs = 20"),
    ("train good.toml --set train.epochs=many", 2, "received 'many' (str)", "set train.epochs = 20"),
    ("train good.toml --set epochs", 2, "expected --set table.key=value, received 'epochs'", "--set train.epochs=3"),
    ("train good.toml --set cluster.num_worker=3", 2, "unknown key cluster.num_worker", "did you mean 'num_workers'?"),
    ("train good.toml --set data.source=mnist --set data.dir=none", 2, "the files of mnist in none", "data mnist none"),
    ("train good.toml --set output.dir=file/run", 2, "output.dir: expected a folder", "set output.dir"),
    ("train good.toml --set cluster.master=sprak://h:1", 2, "received 'sprak://h:1'", "spark://HOST"),
    (f"train good.toml --set cluster.master={SILENT}", 1, "no master of Spark answers", "start it, or name another"),
    ("train good.toml --set cluster.master=local[x]", 2, "expected a master of Spark, received 'local[x]'", "local[4]"),
    ("evaluate missing table.parquet", 2, "expected a saved model at missing", "model.save(path)"),
    ("evaluate file table.parquet", 2, "a file that does not end on .keras", "model.save(path)"),
    ("evaluate model missing.parquet", 2, "expected a table at missing.parquet", "pass the file"),
    (f"evaluate model file --master {SILENT}", 1, "no master of Spark answers", "start it"),
    ("predict cut.keras file scored", 1, "cut.keras", ""),
    ("predict model missing scored", 2, "expected a table at missing", "pass the file"),
    ("predict model file model", 2, "would be written over", "choose another OUTPUT"),
    ("predict model file good.toml/scored", 1, "could not write good.toml/scored", "choose another OUTPUT"),
    ("predict model file scored --input-shape 8", 2, "expected --input-shape HEIGHT,WIDTH,CHANNELS", "write 224,224,3"),
    ("export missing.keras out.onnx", 2, "expected a saved model at missing.keras", "pass what model.save(path) wrote"),
    ("export cut.keras out.bmp --format bmp", 2, "bmp", ""),
    ("data mnits data", 2, "mnits", "did you mean 'mnist'?"),
    ("data mnist file/data --url file:///none", 1, "", ""),
    ("submit train missing.toml", 2, "missing.toml: No such file", "pass conf/digits.toml"),
    ("submit --properties-file missing.conf train good.toml", 2, "missing.conf: No such file", "conf/spark-standalone"),
    ("submit --properties-file bad.conf train good.toml", 2, "bad.conf, line 2, column 1: ", "mend line 2"),
    (f"submit --master {SILENT} train good.toml", 1, "no master of Spark answers", "start it"),
    ("submit --master spark://h:1 --deploy-mode cluster train good.toml", 2, "no driver of a Python", "client mode"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With files of all kinds, and where the verbs are called."""
    files = {
        "good.toml": "[train]\nepochs = 1\n", "cut.toml": "[train]\nepochs\n", "key.toml": "[train]\nepoch = 3\n",
        "type.toml": "[train]\nepochs = true\n", "bad.conf": "spark.task.cpus 1\ntask.cpus 4\n", "file": "",
        "cut.keras": "PK\x03\x04",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "model" / "metadata").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("line", "code", "error", "cure"), TABLE, ids=[row[0] for row in TABLE])
def test_bad_input_is_two_lines(
    line: str, code: int, error: str, cure: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main.main(line.split())
    told = capsys.readouterr()
    first, second = told.err.splitlines()[-2:]
    assert (caught.value.code, told.out) == (code, ""), told.err
    assert first.startswith("error: ") and error in first, first
    assert second.startswith("  to do: ") and cure in second, second
    assert "Traceback" not in told.err


def test_a_file_without_permission_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object, **__: object) -> str:  # root may read everything
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(SystemExit) as caught:
        main.main(["train", "good.toml"])
    assert caught.value.code == 2
    assert "good.toml: Permission denied" in capsys.readouterr().err
