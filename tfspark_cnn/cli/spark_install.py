"""Which Spark is installed here: that of SPARK_HOME, else that of the package pyspark. Found without importing it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from tfspark_cnn import env
from tfspark_cnn.cli.submission import Machine
from tfspark_cnn.errors import ConfigError

READ = ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON")
"""Variables that spark-submit looks at."""


def machine() -> Machine:
    """Gives what is here: the Spark of SPARK_HOME, else that of the package pyspark.

    Raises:
        ConfigError: there is neither.
    """
    found = {name: value for name in READ if (value := env.get(name))}
    program = spark_home() / "bin" / "spark-submit"
    if not program.is_file():
        raise ConfigError(f"expected spark-submit at {program}, received none", hint="let SPARK_HOME name a Spark")
    return Machine(sys.executable, str(program), str(application()), found)


def spark_home() -> Path:
    """Gives the folder of Spark.

    Raises:
        ConfigError: there is none.
    """
    home = env.get("SPARK_HOME")
    if home:
        return Path(home)
    package = importlib.util.find_spec("pyspark")
    if package is None or not package.submodule_search_locations:
        raise ConfigError("expected SPARK_HOME or the package pyspark, received neither", hint="pip install pyspark")
    return Path(package.submodule_search_locations[0])


def application() -> Path:
    """Gives the path of the application file."""
    return Path(__file__).parents[1] / "submit" / "main.py"
