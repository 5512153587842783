"""Verb `submit` as far as it runs nothing: the line it prints, and what it refuses before Spark starts."""

from __future__ import annotations

import os
import shlex
import socket
import sys
from pathlib import Path

import pytest

from tfspark_cnn.cli import main, spark, spark_install
from tfspark_cnn.errors import ClusterError, ConfigError

ROOT = Path(__file__).parents[3]
CONF = str(ROOT / "conf" / "digits.toml")
STANDALONE = str(ROOT / "conf" / "spark-standalone.conf")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPARK_HOME", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as caught:
        main.main(["submit", *arguments])
    return caught.value.code


def test_a_dry_run_prints_a_line_that_a_shell_takes(capsys: pytest.CaptureFixture[str]) -> None:
    given = ("--properties-file", STANDALONE, "--conf", "spark.task.cpus=2")
    assert run(*given, "--dry-run", "train", CONF, "--set", "train.epochs=3", "--json") == 0
    variable, program, *rest = shlex.split(capsys.readouterr().out)
    assert variable == f"PYSPARK_PYTHON={sys.executable}"
    assert os.access(program, os.X_OK) and program.endswith("/bin/spark-submit")
    application = rest.index(str(spark_install.application()))
    assert rest[:4] == list(given)
    assert rest[application + 1 :] == ["train", CONF, "--set", "train.epochs=3", "--json"]
    assert Path(rest[application]).is_file()


@pytest.mark.parametrize(
    ("line", "code", "error", "cure"),
    [
        (("--properties-file", "no.conf", "train", CONF), 2, "no.conf: No such file", "conf/spark-standalone"),
        (("train", "no.toml"), 2, "no.toml: No such file", "conf/digits.toml"),
        (("train", CONF, "--set", "train.epoch=3"), 2, "unknown key train.epoch", "did you mean 'epochs'"),
        (("--master", "spark://h", "train", CONF), 2, "expected HOST:PORT in the master", "spark://HOST:7077"),
        (("--properties-file", STANDALONE, "--deploy-mode", "cluster", "train", CONF), 2, "no driver", "client"),
        (("--master", "yarn", "train", CONF), 2, "expected HADOOP_CONF_DIR", "yarn-site.xml"),
        (("export", "model.keras", "out"), 2, "received 'export'", "train, evaluate, predict"),
        (("--master", "spark://no-such-host.invalid:7077", "train", CONF), 1, "no master of Spark answers", "start it"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_two_lines_before_anything_starts(
    line: tuple[str, ...], code: int, error: str, cure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*line) == code
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: ") and error in first
    assert second.startswith("  to do: ") and cure in second


def test_spark_home_names_another_spark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPARK_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match=f"expected spark-submit at {tmp_path}/bin/spark-submit, received none"):
        spark_install.machine()
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "spark-submit").touch()
    assert spark_install.machine().spark_submit == f"{tmp_path}/bin/spark-submit"


@pytest.mark.parametrize("verb", [("train", CONF), ("evaluate", CONF, CONF), ("predict", CONF, CONF, "scored")])
def test_a_master_of_a_verb_that_nobody_is_at_is_told_at_once(
    verb: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model" / "metadata").mkdir(parents=True)
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"spark://127.0.0.1:{bound.getsockname()[1]}"
        named = ("--set", f"cluster.master={url}") if verb[0] == "train" else ("--master", url)
        with pytest.raises(SystemExit) as caught:
            main.main([verb[0], *(("model", *verb[2:]) if verb[0] != "train" else verb[1:]), *named])
    assert caught.value.code == 1
    error, cure = capsys.readouterr().err.splitlines()[-2:]
    assert error.startswith(f"error: no master of Spark answers at {url} (") and cure.startswith("  to do: start it")


def test_a_master_that_takes_no_application_is_told_with_the_likely_cause() -> None:
    with pytest.raises(ClusterError, match=r"took no application of ours.*\n  to do: spark\.authenticate"):
        with spark._refused():
            raise RuntimeError("IllegalStateException: Cannot call methods on a stopped SparkContext.")
    with pytest.raises(RuntimeError, match="other"), spark._refused():
        raise RuntimeError("other")
