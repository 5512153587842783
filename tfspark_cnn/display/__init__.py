"""The live display of a run: in a terminal, in a notebook, or as plain lines. It knows events, not clusters."""
