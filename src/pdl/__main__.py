"""``python -m pdl`` and the console script.

Worker processes import this module again, as every multiprocessing child imports its main module;
that is why it imports nothing.
"""


def run() -> None:
    """Be the command: what calls this does nothing more than exit."""
    exits = _leave_at_once()
    try:
        main()
    except SystemExit as exc:
        _exit_on_signals()
        if isinstance(exc.code, int):
            exits.append(exc.code)
        raise


def main() -> None:
    """Run the command line.

    Raises:
        SystemExit: always, with the exit code.
    """
    try:
        _import_nothing_from_here()
        _exit_on_signals()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    _tell_version()
    _collect_nothing()
    _start_early()
    from pdl.cli.main import main as command

    command()


def _import_nothing_from_here() -> None:
    """Take no download for a module: it may be called ``json.py`` and lie in this directory."""
    import os
    import sys

    sys.path[:] = [place for place in sys.path if place]
    if (
        __name__ == "__main__"  # run with -m, which puts the current directory first
        and not getattr(sys.flags, "safe_path", False)
        and os.path.realpath(sys.path[0]) != os.path.dirname(os.path.dirname(__file__))
    ):
        # with it goes what was kept of the directory's names, of which there may be a million
        sys.path_importer_cache.pop(sys.path.pop(0), None)
    os.environ["PYTHONSAFEPATH"] = "1"  # for the processes that are started


def _leave_at_once() -> list[int]:
    """Make the last thing at exit the end: to take the interpreter apart takes 20 ms.

    It is not, where another's last thing at exit would then not be done.

    Returns:
        Where the exit code is to be put; without one the interpreter ends as it always does.
    """
    import atexit
    import os
    import sys

    codes: list[int] = []
    born = os.getpid()

    def leave() -> None:
        if not codes or os.getpid() != born:
            return
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None:  # closed before Python started
                    stream.flush()
            except (OSError, ValueError):
                return  # the interpreter meets the same, and tells it as it always does
        os._exit(codes[-1])

    if not atexit._ncallbacks():  # noqa: SLF001 - there is no other way to ask
        atexit.register(leave)  # the first to be registered is the last to be called
    return codes


def _collect_nothing() -> None:
    """Look for no garbage while modules are imported, which takes a twentieth of the start.

    `pdl.cli.main` looks for it from then on, and so does each worker.
    """
    import gc

    gc.disable()


def _start_early() -> None:
    """Let the workers' imports begin beside this process's own."""
    import sys

    answered = ("--help", "--manual", "--completion")
    if not sys.argv[1:] or any(each == "-h" or each.startswith(answered) for each in sys.argv):
        return  # answered in no time: not even the guess is worth its imports
    from pdl.pool.startup import prestart

    prestart.guess(sys.argv[1:])


def _tell_version() -> None:
    """Answer a lone ``--version``, for which nothing needs to be imported."""
    import sys

    if sys.argv[1:] == ["--version"] and sys.stdout is not None:
        from pdl._version import __version__

        try:
            sys.stdout.write(f"pdl, version {__version__}\n")
            sys.stdout.flush()
        except OSError:
            return  # a full disk: the command line knows how to say that
        raise SystemExit(0)


def _exit_on_signals() -> None:
    """A signal that comes while modules are imported is no traceback."""
    import os
    import signal
    import sys

    def leave(number: int, _frame: object) -> None:
        try:
            if sys.stderr is not None:  # otherwise 2 may be anything
                os.write(2, b"pdl: interrupted\n")
        except OSError:
            pass
        try:
            # of multiprocessing, which has a directory; it is looked up, as this may be an import
            util = sys.modules.get("multiprocessing.util")
            getattr(util, "_run_finalizers", int)()
        finally:
            os._exit(128 + number)  # an exception would be shown if it came inside of an import

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup stays in force
            signal.signal(number, leave)


if __name__ == "__main__":
    run()
