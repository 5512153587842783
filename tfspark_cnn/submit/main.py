"""`tfspark-cnn` as the application of spark-submit: `spark-submit [its options] submit/main.py train conf/digits.toml`.

It stands alone, since in cluster mode spark-submit copies this file, and nothing beside it, to where the driver runs.
"""

import sys

if __name__ == "__main__":
    try:
        from tfspark_cnn.cli.main import main
    except ModuleNotFoundError as error:
        if error.name != "tfspark_cnn":
            raise
        sys.stderr.write(
            f"error: expected tfspark_cnn in the interpreter {sys.executable}, received none\n"
            "  to do: pass --conf spark.pyspark.driver.python=.venv/bin/python, or the path of one that has it\n"
        )
        sys.exit(2)
    main()
