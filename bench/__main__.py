"""`python -m bench`: all benchmarks, one after another."""

from bench import feed

if __name__ == "__main__":
    feed.main()
