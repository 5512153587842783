"""Verb `version`."""

from __future__ import annotations

from importlib import metadata

_PACKAGES = ("tfspark_cnn", "pyspark", "tensorflow", "keras", "pyarrow")


def version() -> None:
    """Print the versions of this package and of what it stands on.

    Example: tfspark-cnn version
    """
    for package in _PACKAGES:
        print(f"{package} {_installed(package)}")


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
