"""Folders of image files, a folder for each class: `root/cat/1.jpg`, `root/dog/2021/7.png`.

Rows are `image binary` (the bytes of the file, as they are), `label bigint` (the place of the class among the names,
sorted), `name string` (the class: the folder below the root) and `path string`. Spark reads the files, so the root is
any path of Hadoop's file systems; files without bytes it leaves out.

Example:
    >>> train = image_folder(spark, "hdfs://host/pets/train")
    >>> classes_in(train)
    ('cat', 'dog')
    >>> test = image_folder(spark, "hdfs://host/pets/test", classes=classes_in(train))
    >>> column = Column("image", shape=(224, 224, 3), encoding="jpeg", resize="bilinear", scale=1 / 255)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from tfspark_cnn.config import suggestion
from tfspark_cnn.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SUFFIXES = (".jpg", ".jpeg", ".png")
"""Of the files that are images; others are left alone. In small or capital letters."""

_CLASSES = "tfspark_cnn.classes"


def image_folder(
    spark: SparkSession,
    root: str | os.PathLike[str],
    *,
    classes: Sequence[str] | None = None,
    suffixes: Sequence[str] = SUFFIXES,
) -> DataFrame:
    """Gives the images below a folder. One Spark job looks for the classes; the files are read when rows are needed.

    Args:
        spark: the session that the DataFrame belongs to.
        root: the folder with a folder for each class.
        classes: their names in the order of their labels; None: those that are there, sorted.
        suffixes: of the files that are images.

    Raises:
        SourceError: there is no such folder, no image in it, or one that is in no class.
        ConfigError: a folder is none of `classes`.
    """
    from pyspark.errors import AnalysisException
    from pyspark.sql import functions as f

    place = _qualified(spark, os.fspath(root))
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", True)
    try:
        files = reader.option("pathGlobFilter", glob_of(suffixes)).load(place)
    except AnalysisException as error:
        raise SourceError(
            f"could not read {root}: {str(error).splitlines()[0]}", hint="pass a folder that all executors reach"
        ) from error
    below = f.expr(f"substring(path, {len(place.rstrip('/')) + 2})")
    name = f.when(below.contains("/"), f.substring_index(below, "/", 1))
    found = [row[0] for row in files.select(name.alias("name")).distinct().collect()]
    known = known_classes(found, classes, where=os.fspath(root), suffixes=suffixes)
    label = f.array_position(f.array(*map(f.lit, known)), name) - 1
    meta = {_CLASSES: list(known)}
    return files.select(
        f.col("content").alias("image"), label.alias("label", metadata=meta), name.alias("name"), f.col("path")
    )


def classes_in(frame: DataFrame) -> tuple[str, ...]:
    """Gives the names of the classes of `image_folder`'s rows, in the order of their labels.

    Raises:
        ConfigError: the rows are no such ones.
    """
    metadata: dict[str, Any] = {} if "label" not in frame.columns else frame.schema["label"].metadata
    if _CLASSES not in metadata:
        raise ConfigError("expected rows of image_folder, received others", hint="pass what image_folder gave")
    return tuple(metadata[_CLASSES])


def known_classes(
    found: Iterable[str | None], classes: Sequence[str] | None, *, where: str, suffixes: Sequence[str]
) -> tuple[str, ...]:
    """Gives the names of the classes in the order of their labels.

    Args:
        found: the folders in which images are; None stands for images in no folder.
        classes: what the caller says there are, or None.
        where: the root, for errors.
        suffixes: that were looked for, for errors.

    Raises:
        SourceError: there are no images, or some in no folder.
        ConfigError: a folder is none of `classes`, or one is there twice.
    """
    there = set(found)
    if not there:
        raise SourceError(
            f"expected images ({', '.join(suffixes)}) in folders below {where}, received none",
            hint="make a folder for each class, or pass suffixes=",
        )
    names = sorted(name for name in there if name is not None)
    if None in there:
        raise SourceError(
            f"expected each image below {where} in the folder of its class, received some in {where} itself",
            hint="move them into the folders of their classes",
        )
    if classes is not None and len(set(classes)) < len(classes):
        raise ConfigError(f"expected different classes, received {list(classes)}", hint="name each once")
    known = names if classes is None else list(classes)
    for name in names:
        if name not in known:
            raise ConfigError(
                f"expected folders of the classes {', '.join(known)} below {where}, received {name!r}",
                hint=suggestion(name, known),
            )
    return tuple(known)


def glob_of(suffixes: Sequence[str]) -> str:
    """Gives Hadoop's pattern for names that end on one of the suffixes, in small or capital letters."""
    both = [each for suffix in suffixes for each in dict.fromkeys((suffix.lower(), suffix.upper()))]
    return f"*{{{','.join(both)}}}"


def _qualified(spark: SparkSession, root: str) -> str:
    """Gives the root as Hadoop writes it in the paths of the files below it."""
    jvm: Any = spark.sparkContext._jvm  # the only way to Hadoop's file systems, which only the JVM has
    path = jvm.org.apache.hadoop.fs.Path(root)
    system = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    return str(system.makeQualified(path).toString())
