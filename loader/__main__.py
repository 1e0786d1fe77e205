"""`python -m loader`, the same as `loader`."""

from loader.cli import main

if __name__ == "__main__":
    main()
