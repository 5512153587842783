"""What a Spark Python worker does before it imports TensorFlow: it says what TensorFlow may use there."""

from __future__ import annotations

from tfspark_cnn import env
from tfspark_cnn.cluster import whole_imports


def prepare() -> int:
    """Shows TensorFlow the GPUs that Spark assigned to this task, if it assigns any; gives the threads it may use.

    To be called before TensorFlow is imported. A Python worker stays with the GPUs of its first task, as TensorFlow
    does, and takes their memory as it needs it: tasks may be assigned parts of one.
    """
    from pyspark import TaskContext

    task = TaskContext.get()
    gpus = task.resources().get("gpu") if task else None
    if gpus is not None:
        env.use_gpus(gpus.addresses, shared=True)
    whole_imports.install()
    return task.cpus() if task else 1
