"""Whether PySpark, Spark and its Java go together. Pure."""

from __future__ import annotations

from tfspark_cnn.doctor.findings import Finding, failed, ok

OLDEST_JAVA = 17  # Spark 4 needs it


def spark(pyspark: str, jvm: str, *, java: str, master: str) -> Finding:
    """Compares versions: PySpark calls methods of Spark's JVM that change from one minor version to the next.

    Args:
        pyspark: version of the Python package.
        jvm: version of Spark itself.
        java: of the JVM it runs in, as `17.0.9`.
        master: Spark's.
    """
    if pyspark.split(".")[:2] != jvm.split(".")[:2]:
        return failed(
            "spark",
            f"PySpark {pyspark} drives Spark {jvm}",
            cure=f"pip install pyspark=={jvm}, or unset SPARK_HOME to use the Spark that PySpark brings",
        )
    release = java.removeprefix("1.").partition(".")[0]
    if release.isdecimal() and int(release) < OLDEST_JAVA:
        return failed(
            "spark", f"Spark {jvm} runs on Java {java}", cure=f"let JAVA_HOME name Java {OLDEST_JAVA} or later"
        )
    return ok("spark", f"Spark {jvm} on {master}, Java {java}")
