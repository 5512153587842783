"""The application file that spark-submit runs: a folder of its own, since Python looks for modules beside it."""
