"""Starts the command line for `python -m stockfeed`; never does anything else."""

from stockfeed.cli import main

if __name__ == "__main__":
    main()
