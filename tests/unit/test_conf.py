"""The files in conf/: training configurations load, Spark's settings are Spark's, and each key says why it is there."""

from __future__ import annotations

import importlib.util
import re
import zipfile
from functools import cache
from pathlib import Path

import pytest

from tfspark_cnn import augmentation
from tfspark_cnn import config as configuration
from tfspark_cnn.cli import masters, spark_properties
from tfspark_cnn.cli.submission import IN_IMAGE
from tfspark_cnn.data import source

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
TRAININGS, PROPERTIES = sorted(CONF.glob("*.toml")), sorted(CONF.glob("*.conf"))
DECLARED = re.compile(
    r"(internal/config/.*|k8s/Config\$|yarn/config/package\$|internal/SQLConf\$|/SparkLauncher)\.class$"
)
PREFIXES = ("spark.hadoop.", "spark.executorEnv.")
VOLUME = re.compile(r"(spark\.kubernetes\.(?:driver|executor)\.volumes\.)persistentVolumeClaim\.\w+\.(.*)")


def name_of(path: Path) -> str:
    return path.name


def test_the_files_are_these() -> None:
    assert [path.stem for path in TRAININGS] == ["cifar10", "digits", "imagenet", "mnist"]
    assert [path.stem for path in PROPERTIES] == ["spark-kubernetes", "spark-local", "spark-standalone", "spark-yarn"]


@pytest.mark.parametrize("path", TRAININGS, ids=name_of)
def test_a_training_configuration_loads_and_its_source_and_augmentation_go_together(path: Path) -> None:
    config = configuration.load(path)
    rows = source(config.data.source).sized(config.data.image_size)
    assert rows.place(config.data.dir) is not None
    augmentation.check(augmentation.parse(config.train.augmentation), rows.image_shape)
    assert config.output.dir.endswith(path.stem)


def jars() -> Path:
    package = importlib.util.find_spec("pyspark")
    assert package is not None and package.submodule_search_locations
    return Path(package.submodule_search_locations[0]) / "jars"


@cache
def declared() -> frozenset[str]:
    """All strings of the classes in which Spark declares its settings."""
    found: set[bytes] = set()
    for jar in sorted(jars().glob("spark-*.jar")):
        with zipfile.ZipFile(jar) as archive:
            for name in filter(DECLARED.search, archive.namelist()):
                found |= set(re.findall(rb"[A-Za-z][\w.-]+", archive.read(name)))
    return frozenset(one.decode() for one in found)


@cache
def of_hadoop() -> str:
    """The documented settings of YARN."""
    (jar,) = jars().glob("hadoop-client-api-*.jar")
    with zipfile.ZipFile(jar) as archive:
        return archive.read("yarn-default.xml").decode()


def known(key: str) -> bool:
    """Tells whether Spark has such a setting; of some it declares the beginning and the end apart."""
    if key.startswith("spark.hadoop."):
        return f"<name>{key.removeprefix('spark.hadoop.')}</name>" in of_hadoop()
    if volume := VOLUME.fullmatch(key):
        return volume[1] in declared() and volume[2] in declared()
    beginning, _, end = key.rpartition(".")
    return key in declared() or (key.startswith("spark.kubernetes.") and {beginning, end} <= declared())


@pytest.mark.parametrize("path", PROPERTIES, ids=name_of)
def test_all_settings_are_sparks_own(path: Path) -> None:
    assert [key for key in spark_properties.read(str(path)) if not known(key)] == []


def test_a_typo_would_be_found() -> None:
    assert not any(map(known, ("spark.executor.core", "spark.hadoop.yarn.no", "spark.kubernetes.box.image")))


@pytest.mark.parametrize("path", PROPERTIES, ids=name_of)
def test_each_setting_stands_below_its_reason(path: Path) -> None:
    reason, bare = False, []
    for line in path.read_text(encoding="utf-8").splitlines():
        # Settings that belong together share the comment above them.
        reason = (reason or line.startswith("# ")) if line.strip() else False
        if line.startswith("spark.") and not reason:
            bare.append(line)
    assert not bare


@pytest.mark.parametrize("path", PROPERTIES, ids=name_of)
def test_what_nodes_need_is_set(path: Path) -> None:
    found = spark_properties.read(str(path))
    masters.endpoints(found["spark.master"])
    assert found["spark.dynamicAllocation.enabled"] == "false"
    if not masters.is_local(found["spark.master"]):
        assert found["spark.authenticate"] == found["spark.network.crypto.enabled"] == "true"
        assert int(found["spark.executor.cores"]) % int(found["spark.task.cpus"]) == 0
        assert not [key for key in found if key.endswith("secret")], "secrets are no part of a file for all"


def test_the_image_holds_what_the_settings_for_kubernetes_and_submit_name() -> None:
    lines = (CONF / "Dockerfile").read_text(encoding="utf-8")
    (version,) = re.findall(r"^ARG SPARK=(.*)$", lines, re.MULTILINE)
    assert f"pyspark=={version}\n" in (ROOT / "requirements.txt").read_text(encoding="utf-8")
    properties = spark_properties.read(str(CONF / "spark-kubernetes.conf"))
    (folder,) = re.findall(r"^WORKDIR (.*)$", lines, re.MULTILINE)
    assert properties["spark.pyspark.python"] == f"{folder}/bin/python"
    assert properties["spark.driver.extraJavaOptions"].endswith(f"={folder}/conf/log4j2.properties")
    assert properties["spark.kubernetes.driver.volumes.persistentVolumeClaim.runs.mount.path"] == f"{folder}/runs"
    assert f"local://{folder}/submit/main.py" == IN_IMAGE and "./submit/main.py" in lines
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*) \S+$", lines, re.MULTILINE) for word in line.split()]
    assert copied and [name for name in copied if not (ROOT / name).exists()] == []
    tested, rest = (ROOT / "requirements.txt").read_text(encoding="utf-8").split("# what `make check`")
    assert "tensorflow==" in tested and "pytest==" in rest, "the line at which the image cuts the packages of tests off"


def test_the_application_file_is_that_of_the_package() -> None:
    assert (ROOT / "submit" / "main.py").samefile(ROOT / "tfspark_cnn" / "submit" / "main.py")
