"""``python -m pdl`` and the console script.

Worker processes import this module again, as every multiprocessing child imports its main module;
that is why it imports nothing.
"""


def main() -> None:
    """Run the command line."""
    from pdl.cli import main as command  # noqa: PLC0415 - see above

    command()


if __name__ == "__main__":
    main()
