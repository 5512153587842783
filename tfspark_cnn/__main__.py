"""`python -m tfspark_cnn`, the same as `tfspark-cnn`."""

from tfspark_cnn.cli.main import main

if __name__ == "__main__":
    main()
