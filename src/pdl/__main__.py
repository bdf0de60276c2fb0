"""``python -m pdl`` and the console script.

Worker processes import this module again, as every multiprocessing child imports its main module;
that is why it imports nothing.
"""


def main() -> None:
    """Run the command line."""
    exits = _leave_at_once()
    _import_nothing_from_here()
    _exit_on_signals()
    _tell_version()
    _start_early()
    from pdl.cli import main as command  # noqa: PLC0415 - see above

    try:
        command()
    except SystemExit as exc:
        if isinstance(exc.code, int):
            exits.append(exc.code)
        raise


def _import_nothing_from_here() -> None:
    """Take no download for a module: it may be called ``json.py`` and lie in this directory."""
    import os  # noqa: PLC0415 - see above
    import sys  # noqa: PLC0415

    sys.path[:] = [place for place in sys.path if place]
    if (
        __name__ == "__main__"  # run with -m, which puts the current directory first
        and not getattr(sys.flags, "safe_path", False)
        and os.path.realpath(sys.path[0]) != os.path.dirname(os.path.dirname(__file__))  # noqa: PTH120
    ):
        # with it goes what was kept of the directory's names, of which there may be a million
        sys.path_importer_cache.pop(sys.path.pop(0), None)
    os.environ["PYTHONSAFEPATH"] = "1"  # for the processes that are started


def _leave_at_once() -> list[int]:
    """Make the last thing at exit the end: to take the interpreter apart takes 20 ms.

    Returns:
        Where the exit code is to be put; without one the interpreter ends as it always does.
    """
    import atexit  # noqa: PLC0415 - see above
    import os  # noqa: PLC0415
    import sys  # noqa: PLC0415

    codes: list[int] = []
    born = os.getpid()

    def leave() -> None:
        if codes and os.getpid() == born:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(codes[0])

    atexit.register(leave)  # the first to be registered is the last to be called
    return codes


def _start_early() -> None:
    """Let the workers' imports begin beside this process's own."""
    import sys  # noqa: PLC0415 - see above

    if not sys.argv[1:] or "--help" in sys.argv:
        return  # answered in no time: not even the guess is worth its imports
    from pdl.pool import early  # noqa: PLC0415

    early.guess(sys.argv[1:])


def _tell_version() -> None:
    """Answer a lone ``--version``, for which nothing needs to be imported."""
    import sys  # noqa: PLC0415 - see above

    if sys.argv[1:] == ["--version"]:
        from pdl._version import __version__  # noqa: PLC0415

        try:
            sys.stdout.write(f"pdl, version {__version__}\n")
            sys.stdout.flush()
        except OSError:
            return  # a full disk: the command line knows how to say that
        raise SystemExit(0)


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
