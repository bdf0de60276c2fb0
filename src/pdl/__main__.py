"""``python -m pdl`` and the console script.

Worker processes import this module again, as every multiprocessing child imports its main module;
that is why it imports nothing.
"""


def main() -> None:
    """Run the command line."""
    _exit_on_signals()
    _start_early()
    from pdl.cli import main as command  # noqa: PLC0415 - see above

    command()


def _start_early() -> None:
    """Let the workers' imports begin beside this process's own."""
    import sys  # noqa: PLC0415 - see above

    if not sys.argv[1:] or "--version" in sys.argv or "--help" in sys.argv:
        return  # answered in no time: not even the guess is worth its imports
    from pdl.pool import early  # noqa: PLC0415

    early.guess(sys.argv[1:])


def _exit_on_signals() -> None:
    """A signal that comes while modules are imported is no traceback."""
    import os  # noqa: PLC0415 - see above
    import signal  # noqa: PLC0415

    def leave(number: int, _frame: object) -> None:
        try:
            os.write(2, b"pdl: interrupted\n")
        finally:
            os._exit(128 + number)  # an exception would be shown if it came inside of an import

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays in force
            signal.signal(number, leave)


if __name__ == "__main__":
    main()
