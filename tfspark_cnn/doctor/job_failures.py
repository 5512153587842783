"""What it means that Spark could not run the tasks of an examination. Pure."""

from __future__ import annotations

import re

from tfspark_cnn.doctor.findings import Finding, failed

_SAME_PACKAGES = (
    "install the same packages on all executors, or ship them by --archives; spark.pyspark.python names the interpreter"
)
_MEANINGS = (
    (
        re.compile(r'Cannot run program "(?P<what>[^"]+)"'),
        "python",
        "executors cannot start Python: there is no {what}",
        "set PYSPARK_PYTHON or spark.pyspark.python to an interpreter that is on every executor's host",
    ),
    (
        re.compile(r"Python in worker has different version:? \(?(?P<what>[\d., ]+)"),
        "python",
        "executors run another Python than the driver: {what}",
        "set PYSPARK_PYTHON or spark.pyspark.python to the same Python as the driver's",
    ),
    (
        re.compile(r"No module named '?(?P<what>[\w.]+)"),
        "packages",
        "Python of the executors has no module {what}",
        _SAME_PACKAGES,
    ),
    (
        re.compile(r"(?P<what>(?:pyarrow|PyArrow|pandas|Pandas) >= [\d.]+ must be installed[^.\n]*)"),
        "packages",
        "on executors, {what}",
        _SAME_PACKAGES,
    ),
)


def explained(text: str, *, brief: str) -> Finding:
    """Gives the finding for what Spark says of a failed job.

    Args:
        text: all of it, with stacks.
        brief: the line that says most.
    """
    for pattern, name, seen, cure in _MEANINGS:
        found = pattern.search(text)
        if found:
            return failed(name, seen.format(what=found["what"].strip(" ,")), cure=cure)
    return failed("nodes", f"Spark failed the tasks of the examination: {brief}", cure="look at the executors' logs")


_MASTERS = "pass --master spark://HOST:7077, yarn, k8s://https://HOST:PORT, or local"
_ERROR_LINE = re.compile(r"^(?:Error: |Exception in thread \S+ )(?P<what>.+)$", re.MULTILINE)
"""How spark-submit tells why it has not started a driver."""

_STARTS = (
    (
        re.compile(r"Could not parse Master URL: '?(?P<what>[^'\n]*)"),
        "there is no master of the form {what}",
        _MASTERS,
    ),
    (re.compile(r"(?P<what>Master must (?:either )?[^\n]*)"), "{what}", _MASTERS),
    (
        re.compile(r"(?P<what>either HADOOP_CONF_DIR or YARN_CONF_DIR must be set)"),
        "Spark does not know the YARN cluster: {what}",
        "let HADOOP_CONF_DIR name the folder with yarn-site.xml and core-site.xml",
    ),
    (
        re.compile(r"(?P<what>All masters are unresponsive)"),
        "the master does not take the application: {what}",
        "see the master's log; versions of Spark and spark.authenticate must be those of the cluster",
    ),
    (
        re.compile(r"Cannot assign requested address: Service '(?P<what>\w+)'"),
        "the driver cannot listen on its address ({what})",
        "set SPARK_LOCAL_IP or spark.driver.bindAddress to an address of this host",
    ),
)


def not_started(text: str, *, brief: str) -> Finding:
    """Gives the finding for a Spark that did not start.

    Args:
        text: what it said, with what it wrote to its log.
        brief: the line that says most.
    """
    for pattern, seen, cure in _STARTS:
        found = pattern.search(text)
        if found:
            return failed("spark", seen.format(what=found["what"].strip()), cure=cure)
    said = _ERROR_LINE.search(text) if "JAVA_GATEWAY_EXITED" in text else None
    told = said["what"] if said else brief
    return failed("spark", f"Spark does not start: {told}", cure="run it again with --debug for what Spark writes")


def late(nodes: int, limit_s: float) -> Finding:
    """Gives the finding for tasks that did not end in time."""
    return failed(
        "nodes",
        f"{nodes} tasks at once did not start and answer within {limit_s:g} s",
        cure="see in the Spark UI which jobs hold the slots, and whether executors come and go",
    )
