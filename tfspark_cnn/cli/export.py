"""Verb `export`: a trained network as a SavedModel for TensorFlow Serving, as ONNX, or as a `.keras` file."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from typing import Annotated

import typer

from tfspark_cnn import log
from tfspark_cnn.cli.saved_model import check_there

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A .keras file, or the folder of a saved model; also a URI.")
]
OutArgument = Annotated[
    str, typer.Argument(metavar="OUT", help="Where to: a .keras or .onnx file, or the folder of a SavedModel.")
]
FormatOption = Annotated[
    str | None, typer.Option("--format", metavar="FORMAT", help="keras, saved_model or onnx; else by OUT.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an export that is there.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show tracebacks.")]


def export(
    model: ModelArgument,
    out: OutArgument,
    format: FormatOption = None,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write a network for others than Spark: a SavedModel, ONNX, or a .keras file.

    Example: tfspark-cnn export runs/digits/model/model.keras digits.onnx

    Example: tfspark-cnn export runs/digits-model serving/digits/1
    """
    from rich.console import Console

    from tfspark_cnn.ml import saved_network
    from tfspark_cnn.ml.export import export as write
    from tfspark_cnn.ml.export import format_of

    log.to_console(sys.stderr, level=logging.DEBUG if debug else logging.WARNING)
    kind = format_of(out, format)  # refused before anything is read
    check_there(model)
    with Console(stderr=True).status(f"writing {out} as {kind}"):
        written = write(saved_network.read(model), out, format=kind, overwrite=overwrite)
    if as_json:
        print(json.dumps(asdict(written)))
    else:
        print(f"{written.path}: {written.format}, {written.bytes / 1e6:.1f} MB")
