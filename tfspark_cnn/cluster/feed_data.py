"""What `train` and `inference` take: DataFrames and RDDs, and how each is gone over."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from tfspark_cnn.errors import ConfigError
from tfspark_cnn.feed import rows
from tfspark_cnn.feed.inference import PREDICTION, FrameInference, Inference, RowInference
from tfspark_cnn.feed.row_source import RowFeeder
from tfspark_cnn.feed.source import SENT_DDL, Feeder, Sent


def check(data: Any, method: str) -> None:
    """Refuses what is neither a DataFrame nor an RDD.

    Raises:
        ConfigError: it is something else.
    """
    if not (is_rdd(data) or hasattr(data, "mapInArrow")):
        raise ConfigError(
            f"{method} got a {type(data).__name__}, expected a DataFrame or an RDD",
            hint="spark.createDataFrame(...) or sc.parallelize(...) makes one",
        )


def is_rdd(data: Any) -> bool:
    """Tells whether data is an RDD."""
    from pyspark import RDD

    return isinstance(data, RDD)


def schema_of(data: Any) -> pa.Schema:
    """Gives the Arrow schema of data. That of an RDD is not known before its rows are: nodes learn it from these.

    To ask Spark for the first row would be a job of its own, which computes the row twice.
    """
    from pyspark.sql.pandas.types import to_arrow_schema

    return rows.UNKNOWN_SCHEMA if is_rdd(data) else to_arrow_schema(data.schema)


def send(data: Any, feeder: Feeder) -> list[Sent]:
    """Runs the Spark job that sends data to the nodes; gives what the feeder of each partition has to tell."""
    if is_rdd(data):
        return list(data.mapPartitions(RowFeeder(feeder)).collect())
    return [Sent(*row) for row in _addressable(data).mapInArrow(feeder, SENT_DDL).collect()]


def infer(data: Any, inference: Inference, result_type: Any) -> Any:
    """Gives the lazy RDD or DataFrame of the results of data.

    Raises:
        ConfigError: `result_type` is no Spark type, or the DataFrame has a column `prediction`.
    """
    if is_rdd(data):
        return data.mapPartitions(RowInference(inference))
    from pyspark.sql.pandas.types import to_arrow_type
    from pyspark.sql.types import StructField, StructType

    found = _spark_type(result_type)
    if PREDICTION in data.columns:
        raise ConfigError(
            f"the DataFrame has a column {PREDICTION!r} already",
            hint=f'rename it: df.withColumnRenamed("{PREDICTION}", ...)',
        )
    frame, names = _addressable(data), data.columns
    schema = StructType([*frame.schema.fields, StructField(PREDICTION, found)])
    scored = frame.mapInArrow(FrameInference(inference, tuple(names), to_arrow_type(found)), schema)
    return scored if frame is data else scored.toDF(*names, PREDICTION)


def _addressable(frame: Any) -> Any:
    """Gives the DataFrame with names by which Spark's mapInArrow, which looks each column up, finds them all.

    It does not find two of one name, in whatever case, nor one with a dot in its name. Feeders and tasks of inference
    put the right names back.
    """
    names = frame.columns
    if len({name.lower() for name in names}) == len(names) and all(re.fullmatch(r"\w+", name) for name in names):
        return frame
    return frame.toDF(*(f"_{number}" for number in range(len(names))))


def _spark_type(result_type: Any) -> Any:
    from pyspark.errors import PySparkException
    from pyspark.sql.types import DataType

    if isinstance(result_type, DataType):
        return result_type
    try:
        return DataType.fromDDL(result_type)
    except (PySparkException, TypeError, AttributeError) as error:
        raise ConfigError(
            f"result_type is {result_type!r}, expected a Spark type", hint="as 'array<float>' or 'bigint'"
        ) from error
