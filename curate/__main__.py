"""Turn `python -m curate` into `curate`."""

from curate.cli import main

if __name__ == "__main__":
    main()
