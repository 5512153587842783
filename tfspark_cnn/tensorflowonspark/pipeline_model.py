"""`TFModel`: a signature of a SavedModel as a Model of Spark ML, which scores DataFrames on all executors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyspark.ml import Model
from pyspark.ml.util import DefaultParamsReader, DefaultParamsWriter, MLReadable, MLReader, MLWritable, MLWriter

from tfspark_cnn.errors import ConfigError, SchemaError, did_you_mean
from tfspark_cnn.tensorflowonspark import input_columns
from tfspark_cnn.tensorflowonspark.data_columns import check_mapped, quoted
from tfspark_cnn.tensorflowonspark.input_columns import InputColumn
from tfspark_cnn.tensorflowonspark.namespace import Namespace
from tfspark_cnn.tensorflowonspark.pipeline_params import (
    HasBatchSize,
    HasExportDir,
    HasInputMapping,
    HasKeepColumns,
    HasModelDir,
    HasOutputMapping,
    HasSignatureDefKey,
    HasTagSet,
    TFParams,
)
from tfspark_cnn.tensorflowonspark.saved_model_folder import SavedModelFolder
from tfspark_cnn.tensorflowonspark.saved_model_scoring import SignatureScorer, function
from tfspark_cnn.tensorflowonspark.signatures import Signature, Tensor

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SCORES = "tfspark_cnn outputs"
_KEY = "tfsparkArgs"


class TFModel(
    Model, TFParams, HasInputMapping, HasOutputMapping, HasBatchSize, HasModelDir, HasExportDir, HasSignatureDefKey,
    HasTagSet, HasKeepColumns, MLWritable, MLReadable["TFModel"],
):  # fmt: skip
    """Calls a signature of the SavedModel in `export_dir`: columns by `input_mapping`, outputs by `output_mapping`.

    `transform` gives the output columns, in the order of their tensors' names; with `setKeepColumns(True)` those of its
    input before them. Their types are those of `output_columns`, known before a job runs. Each Python worker of Spark
    loads the SavedModel once. It can be saved and loaded as any Model; the SavedModel stays where it is.

    Args:
        tf_args: a dict, an `argparse.Namespace`, a `Namespace`, or a list of strings.

    Example:
        >>> model = TFModel({}).setExportDir("/models/1").setSignatureDefKey("serving_default")
        >>> model.setInputMapping({"image": "x"}).setOutputMapping({"probability": "p"}).transform(df)  # doctest: +SKIP
    """

    def __init__(self, tf_args: Any) -> None:
        super().__init__()
        self.args = Namespace(tf_args)
        self._setDefault(
            input_mapping={}, output_mapping={}, batch_size=100, model_dir=None, export_dir=None,
            signature_def_key=None, tag_set=None, keep_columns=False,
        )  # fmt: skip

    def _transform(self, dataset: DataFrame) -> DataFrame:
        from pyspark.sql import functions as sf
        from pyspark.sql.pandas.functions import arrow_udf
        from pyspark.sql.pandas.types import from_arrow_type, to_arrow_schema

        check_mapped(dataset, self.getInputMapping(), setter="setInputMapping")
        scorer = self._scorer()
        names = [quoted(column.name) for column in scorer.inputs]
        for column, field in zip(scorer.inputs, to_arrow_schema(dataset.select(names).schema), strict=True):
            input_columns.check(field.type, column)
        kept = self._kept(dataset, [name for name, _ in scorer.outputs])
        udf: Any = arrow_udf  # its types know only how it decorates
        score = udf(function(scorer), from_arrow_type(scorer.type()))
        rows = sf.struct([sf.col(name).alias(f"_{place}") for place, name in enumerate(names)])
        scored = dataset.select(*kept, score(rows).alias(_SCORES))
        made = [sf.col(quoted(_SCORES)).getField(name).alias(name) for name, _ in scorer.outputs]
        return scored.select(*kept, *made)

    def _scorer(self) -> SignatureScorer:
        if self.getBatchSize() < 1:
            raise ConfigError(f"batch_size is {self.getBatchSize()}, expected 1 or more", hint="setBatchSize(100)")
        if not self.getExportDir():
            raise ConfigError("export_dir is not set", hint="setExportDir(...) to the folder of a SavedModel")
        if not self.getOutputMapping():
            raise ConfigError(
                "output_mapping is empty, expected tensors", hint="setOutputMapping({'tensor': 'column'})"
            )
        folder = SavedModelFolder.at(self.getExportDir())
        signature = folder.signature(tag_set=self.getTagSet(), key=self.getSignatureDefKey())
        scorer = SignatureScorer(
            folder.uri, folder.version, signature, _inputs(self.getInputMapping(), signature),
            _outputs(self.getOutputMapping(), signature), self.getBatchSize(),
        )  # fmt: skip
        scorer.type()
        return scorer

    def _kept(self, dataset: DataFrame, outputs: Sequence[str]) -> list[str]:
        if not self.getKeepColumns():
            return []
        for name in outputs:
            if name in dataset.columns:
                raise SchemaError(
                    f"the DataFrame has a column {name!r} already",
                    hint="drop it, set another name in setOutputMapping, or setKeepColumns(False)",
                )
        return [quoted(name) for name in dataset.columns]

    def write(self) -> MLWriter:
        """Gives the writer; `model.write().overwrite().save(path)` replaces what is there."""
        return _Writer(self)

    @classmethod
    def read(cls) -> MLReader[Any]:
        """Gives the reader; `TFModel.load(path)` is the same in short."""
        return _Reader()


def _inputs(mapping: dict[str, str], signature: Signature) -> tuple[InputColumn, ...]:
    columns = tuple(
        InputColumn(name, _found(tensor, signature.inputs, f"input of signature {signature.key!r}"))
        for name, tensor in sorted(mapping.items())
    )
    fed = [column.tensor.name for column in columns]
    twice = next((name for name in fed if fed.count(name) > 1), None)
    if twice:
        raise ConfigError(f"input_mapping maps two columns to {twice!r}", hint="map each tensor once")
    missing = [tensor.name for tensor in signature.inputs if tensor.name not in {*fed, *signature.optional}]
    if missing:
        raise ConfigError(
            f"input_mapping: expected columns for all inputs of signature {signature.key!r}, received none for "
            f"{', '.join(missing)}",
            hint="map a column to each: setInputMapping({'column': 'tensor', ...})",
        )
    return columns


def _outputs(mapping: dict[str, str], signature: Signature) -> tuple[tuple[str, Tensor], ...]:
    outputs = tuple(
        (column, _found(tensor, signature.outputs, f"output of signature {signature.key!r}"))
        for tensor, column in sorted(mapping.items())
    )
    if len({column for column, _ in outputs}) < len(outputs):
        raise ConfigError(f"output_mapping gives two columns one name: {mapping}", hint="name each column anew")
    return outputs


def _found(name: str, tensors: Sequence[Tensor], what: str) -> Tensor:
    wanted = name.removesuffix(":0")  # as graphs name what signatures name without
    for tensor in tensors:
        if tensor.name == wanted:
            return tensor
    there = [tensor.name for tensor in tensors]
    raise ConfigError(
        f"expected an {what}, received {name!r}: there are {', '.join(there) or 'none'}",
        hint=did_you_mean(wanted, there, "map to one of these"),
    )


class _Writer(MLWriter):
    def __init__(self, instance: TFModel) -> None:
        super().__init__()
        self.instance = instance

    def saveImpl(self, path: str) -> None:  # noqa: N802  Spark's name
        args = vars(self.instance.args)
        for name, value in args.items():
            try:
                json.dumps(value)
            except TypeError as error:
                raise ConfigError(
                    f"the argument {name!r} is a {type(value).__name__}, which JSON has not",
                    hint=f"leave it out: del model.args.{name}",
                ) from error
        DefaultParamsWriter.saveMetadata(self.instance, path, self.sparkSession, extraMetadata={_KEY: args})


class _Reader(MLReader[Any]):
    def load(self, path: str) -> TFModel:
        metadata = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        if _KEY not in metadata:
            raise ConfigError(f"the model in {path} is a {metadata.get('class')}, expected a TFModel")
        args = metadata[_KEY]
        model = TFModel(args["argv"] if list(args) == ["argv"] else args)
        model._resetUid(metadata["uid"])
        DefaultParamsReader.getAndSetParams(model, metadata)
        return model
