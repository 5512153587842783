"""Kernels of Jupyter that are the interpreter of these tests, with the Spark of tests below them."""

from __future__ import annotations

import os
from pathlib import Path

import jvm

IN_JUPYTERLAB = "02-where-the-rows-go"
"""The quickest notebook, which a test runs in JupyterLab; the others run without one."""


def environment(folder: Path) -> dict[str, str]:
    """Variables by which Jupyter finds a kernel of this environment and no other, and keeps its files in a folder."""
    spark = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_SUBMIT_ARGS": jvm.submit_arguments(jvm.options())}
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    own = {place: str(folder / place.lower()) for place in places}
    settings = {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    return {**os.environ, "JUPYTER_PATH": str(folder), "JUPYTER_PREFER_ENV_PATH": "1", **own, **settings, **spark}
