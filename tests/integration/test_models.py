"""The networks as TensorFlow has them, and what the driver knows of them without importing it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tfspark_cnn.config import NETWORKS

pytestmark = pytest.mark.beside

PRINT = """
import inspect, importlib
from tfspark_cnn.models import registry

for name, place in registry._FAMILIES.items():
    module, _, function = place.partition(":")
    known = inspect.signature(getattr(importlib.import_module(module), function)).parameters
    print(name, *(parameter for parameter in known if parameter not in ("input_shape", "classes")))
    model = registry.build(name, input_shape=(8, 8, 1), classes=10)
    assert model.output_shape == (None, 10), model.output_shape
"""


@pytest.mark.timeout(120)
def test_the_configuration_knows_the_networks_and_parameters_that_there_are():
    ran = subprocess.run([sys.executable, "-c", PRINT], capture_output=True, text=True, check=True)
    lines = [line.split() for line in ran.stdout.splitlines()]
    assert {line[0]: tuple(line[1:]) for line in lines} == dict(NETWORKS)
