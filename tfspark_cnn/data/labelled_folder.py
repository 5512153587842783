"""The source `image_folder` of the command line: files of images in a folder for each class, as ImageNet has them.

`root/train/cat/1.jpg` and `root/val/cat/2.jpg` are rows to train on and rows that are held out; where there are no such
two folders, `root/cat/1.jpg` are both, divided by chance. Files travel as they are, and nodes decode them.

Example:
    >>> train, test = source("image_folder").load()(spark, folder="/data/pets", test_fraction=0.2, seed=0, partitions=8)
    >>> classes_in(train)
    ('cat', 'dog')
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfspark_cnn.data.image_folder import classes_in, image_folder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

MOST_HELD_OUT = 500
"""Rows that the accuracy is of: they travel with the task to every node, 50 MB of files as ImageNet has them."""


def labelled(
    spark: SparkSession, *, folder: str, test_fraction: float, seed: int, partitions: int
) -> tuple[DataFrame, DataFrame]:
    """Gives the rows to train on, and at most `MOST_HELD_OUT` of the others, by chance.

    Args:
        spark: the session that the DataFrames belong to.
        folder: with `train` and `val`, or with a folder for each class.
        test_fraction: held out where there is no `val`.
        seed: of the chance.
        partitions: not used: Spark puts files together, and to deal them anew would send all of them twice.

    Raises:
        SourceError: there are no such folders, or no images in them.
        ConfigError: `val` has a class that `train` has not.
    """
    from pyspark.sql import functions as sf

    if all(_is_folder(spark, f"{folder.rstrip('/')}/{part}") for part in ("train", "val")):
        training = image_folder(spark, f"{folder.rstrip('/')}/train")
        held_out = image_folder(spark, f"{folder.rstrip('/')}/val", classes=classes_in(training))
    else:
        everything = image_folder(spark, folder)
        # By the path, so that the same rows are held out whatever order Spark finds the files in, also when resumed.
        chance = sf.pmod(sf.xxhash64(sf.col("path"), sf.lit(seed)), sf.lit(1 << 20)) / (1 << 20)
        training, held_out = (
            everything.where(is_held) for is_held in (chance >= test_fraction, chance < test_fraction)
        )
    some = held_out.orderBy(sf.xxhash64(sf.col("path"), sf.lit(seed))).limit(MOST_HELD_OUT)
    return training.select("image", "label"), some.select("image", "label")


def _is_folder(spark: SparkSession, path: str) -> bool:
    jvm: Any = spark.sparkContext._jvm  # Hadoop's file systems, which read the images too, are there alone
    place = jvm.org.apache.hadoop.fs.Path(path)
    system = place.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    return bool(system.exists(place) and system.getFileStatus(place).isDirectory())
