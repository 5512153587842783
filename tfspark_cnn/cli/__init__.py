"""The command line: `tfspark-cnn`, one module per verb."""
