"""TensorFlowOnSpark's modules over the parts of this package: its programs run with this import in place of theirs.

    sed 's/tensorflowonspark/tfspark_cnn.tensorflowonspark/g' program.py

Names, parameters, their order, defaults and meanings are those of TensorFlowOnSpark 2.2.5; the code is this package's
own. What differs, and why, is in docs/migration-tensorflowonspark.md.

Reference: https://github.com/yahoo/TensorFlowOnSpark
"""

__version__ = "2.2.5"
"""Of the interface."""
