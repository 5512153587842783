"""Convolutional networks: one module per family, and the register of their names. Imported on nodes only."""
