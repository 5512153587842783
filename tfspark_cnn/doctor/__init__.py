"""What is wrong with a cluster, before anything is spent on it: checks of driver and nodes, each with its cure.

Example:
    >>> from tfspark_cnn.doctor import examine
    >>> print(examine(spark, 2, model_dir="s3://bucket/run"))             # doctest: +SKIP
    ok       slots: 6 slots, 2 nodes and 1 feeder need 3
    failed   model_dir: node 1 (10.0.0.7) could not write s3://bucket/run/...: Access Denied
      to do: let the user that the executors run as write there, or use another model_dir
"""

from tfspark_cnn.doctor.examination import examine
from tfspark_cnn.doctor.findings import Finding, Report, Status

__all__ = ["Finding", "Report", "Status", "examine"]
