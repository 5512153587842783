"""What Python and which packages this process would import, without importing them."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata, resources
from importlib.machinery import ModuleSpec
from importlib.resources.abc import Traversable
from pathlib import PurePath
from typing import Any

from tfspark_cnn.doctor.observed import Installed
from tfspark_cnn.doctor.versions import PACKAGES

_DISTRIBUTIONS = {"tensorflow": ("tensorflow", "tensorflow-cpu", "tensorflow-rocm", "tf-nightly", "intel-tensorflow")}
"""Under which names a package may be installed, where there are several."""

_VERSION = re.compile(rb"""^__version__[^=\n]*=\s*["']([^"'\n]+)""", re.MULTILINE)
OURS = "tfspark_cnn"


def installed() -> Installed:
    """Gives the interpreter and the versions of all packages that driver and nodes should have in common."""
    importlib.invalidate_caches()
    versions = tuple((name, version_of(name)) for name in PACKAGES)
    return Installed(platform.python_version(), sys.executable, versions)


def version_of(name: str) -> str:
    """Gives the version of the package that `import name` would find; empty where there is none.

    Where several are on the path it is that of the first, which metadata alone would not tell. The version of this
    package has a fingerprint of its sources: copies of several days have the same number.
    """
    with contextlib.suppress(ImportError, ValueError):
        found = importlib.util.find_spec(name)
        if found is not None and found.origin is not None:
            version = _beside(name, found.origin) or _written(found) or _anywhere(name) or "of unknown version"
            return f"{version} ({_fingerprint()})" if name == OURS else version
    return ""


def _beside(name: str, origin: str) -> str:
    """Gives the version by the metadata in the folder that the package itself is in."""
    folder = str(PurePath(origin).parent.parent)
    for distribution in _DISTRIBUTIONS.get(name, (name,)):
        for one in metadata.distributions(name=distribution, path=[folder]):
            return str(one.version)
    return ""


def _written(spec: ModuleSpec) -> str:
    """Gives the version that the package's source has, as in the archives that Spark ships."""
    loader: Any = spec.loader
    for name in ("version.py", "__init__.py"):
        with contextlib.suppress(OSError, AttributeError):
            found = _VERSION.search(loader.get_data(str(PurePath(spec.origin or "").parent / name)))
            if found:
                return str(found[1].decode())
    return ""


def _anywhere(name: str) -> str:
    """Gives the version by metadata that is elsewhere, as of a package that is installed to be edited."""
    for distribution in _DISTRIBUTIONS.get(name, (name,)):
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    return ""


@functools.cache
def _fingerprint() -> str:
    digest = hashlib.sha256()
    for place, source in sorted(_sources(resources.files(OURS), "")):
        digest.update(place.encode() + b"\0" + source)
    return digest.hexdigest()[:8]


def _sources(folder: Traversable, place: str) -> Iterator[tuple[str, bytes]]:
    """Gives names and bytes of the sources, also of a package in an archive."""
    for one in folder.iterdir():
        if one.is_dir() and one.name != "__pycache__":
            yield from _sources(one, f"{place}{one.name}/")
        elif one.name.endswith(".py"):
            yield f"{place}{one.name}", one.read_bytes()
