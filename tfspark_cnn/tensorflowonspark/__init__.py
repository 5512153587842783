"""The modules of TensorFlowOnSpark, by its names, over the parts of this package."""
