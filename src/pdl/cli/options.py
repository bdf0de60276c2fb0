"""The table of options: each is one row, and is said nowhere else.

From it come click's options, the variables of the environment, what ``-h`` and ``--help`` print,
the manual's page of options and the completion. Defaults are those of the fields that the rows
set; choices are the words of the fields' types.
"""

from __future__ import annotations

from typing import get_args

import click

from pdl import settings
from pdl.cli.failure_options import HOOKS, TRYING_AGAIN, WHAT_COUNTS_AS_FAILURE
from pdl.cli.http_options import CONFIGURATION, CREDENTIALS, HOW_FAST, HTTP
from pdl.cli.list_options import INPUT
from pdl.cli.option_types import (
    Algorithms,
    JobsNumber,
    Number,
    PathByColon,
    PathByLine,
    PathName,
    Row,
    Seconds,
    Size,
    Topic,
    Word,
)
from pdl.naming.namer import field_words
from pdl.output.display.registry import CHOICES as DISPLAYS
from pdl.output.reports.registry import SUFFIXES
from pdl.pool.registry import CHOICES as ENGINES

FILE, DIR = PathName(), PathName("dir")
NUMBER, SECONDS, SIZE, STRING = Number(), Seconds(), Size(), click.STRING

WHERE_TO = (
    Row(
        "-d --dir DIR",
        "files.directory",
        "Put the files into this directory. It is made if it is not there.",
        DIR,
    ),
    Row(
        "--name TEMPLATE",
        "naming.template",
        f"Name each file by this template. Its fields are {field_words()}. "
        "The extension {ext} has its dot, {n} counts the items, and {n:04} pads the number. "
        "In {hash:16} the hash has 16 digits.",
        STRING,
        default="{name}",
    ),
    Row("--tree", "naming.tree", "Put each file under HOST/PATH, as on the server."),
    Row("--cut-dirs N", "naming.cut_dirs", "Leave out N directories of PATH with --tree.", NUMBER),
    Row(
        "-J --content-disposition",
        "naming.server_names",
        "Give each file the name that its server gives. It never gets the name of another file.",
    ),
    Row(
        "--if-exists ACTION",
        "files.if_exists",
        "Do this with a file that is there.",
        Word(get_args(settings.IfExists)),
    ),
    Row(
        "-N --update",
        "files.if_exists",
        "Fetch files that have changed on the server. A file that is not as it was fetched is "
        "fetched, too. It is --if-exists update.",
        sets="update",
    ),
    Row(
        "--on-collision ACTION",
        "naming.on_collision",
        "Do this if two URLs want one name. With hash, the name of the second has a part of its "
        "URL's digest.",
        Word(get_args(settings.OnCollision)),
    ),
    Row(
        "--no-mtime",
        "files.mtime",
        "Leave the time of each file as it is. A file gets the server's Last-Modified time "
        "otherwise.",
        sets=False,
    ),
    Row("--fsync", "files.fsync", "Flush each file to disk before it gets its name."),
)
HOW_MANY = (
    Row(
        "-j --jobs N|auto",
        "pool.jobs",
        "Download N files at once. With auto, it begins with 8 and looks for the number that the "
        "link and the hosts bear, up to 256.",
        JobsNumber(),
    ),
    Row("--per-host N", "stop.per_host", "Download at most N files at once from one host.", NUMBER),
    Row(
        "--processes N",
        "pool.processes",
        "Spread the downloads over N worker processes.",
        NUMBER,
        default="one for each core, at least 2",
    ),
    Row(
        "-s --split N",
        "files.split",
        "Use up to N connections for a large file. They are those of idle jobs. With 1, no file "
        "is split.",
        NUMBER,
    ),
    Row(
        "--min-split SIZE",
        "files.min_split",
        "Split nothing into less than SIZE. It is the least that a connection is to fetch, but "
        "for the last of a file.",
        SIZE,
    ),
)
INTEGRITY = (
    Row(
        "--checksums FILE|URL",
        "input.checksums",
        "Check files against the digests in this file. It is one as sha256sum writes it, here "
        "or at an http(s) URL.",
        PathByLine(),
        multiple=True,
    ),
    Row(
        "--trust-existing",
        "files.trust_existing",
        "Skip a file that is there by its name alone. Its size and digest are compared otherwise, "
        "where the list knows them.",
    ),
    Row(
        "--lock FILE",
        "lock.path",
        "Hold every file against this lock file. What is new is added to it. It is made if it "
        "is not there.",
        FILE,
    ),
    Row(
        "--locked",
        "lock.locked",
        "Fail each file that is not in the lock file. The lock file is not written.",
    ),
    Row(
        "--check",
        "command.check",
        "Check the files that are there; ask no server. Nothing is written.",
    ),
    Row(
        "--digest ALG[,ALG]",
        "files.digests",
        "Compute digests of the fetched files. The reports have them. ALG is as sha256.",
        Algorithms(),
    ),
    Row(
        "--sums FILE",
        "command.sums",
        "Write the digests of all files to FILE. It is as sha256sum writes it, with names "
        "relative to --dir. Files that are there already are read for it.",
        FILE,
    ),
    Row("--cache DIR", "cache.path", "Keep files in DIR for other runs, and reuse them.", DIR),
    Row(
        "--cache-size SIZE",
        "cache.size",
        "Let the cache take SIZE at most. The files that were not used for longest go first. A "
        "size of 0 is no bound.",
        SIZE,
    ),
)
SEEING = (
    Row(
        "--progress MODE",
        "command.progress",
        "Show the run in this way. With auto, it is a bar on a terminal, and else plain lines "
        "for a log. With json, it is an object a line on standard output.",
        Word(DISPLAYS),
    ),
    Row("-q --quiet", "command.quiet", "Say nothing but failures."),
    Row(
        "-v --verbose",
        "command.verbose",
        "Print a line for every file and every retry. Given twice, it prints the heads of all "
        "requests and answers, too.",
        multiple=True,
    ),
    Row(
        "--dry-run",
        "command.dry_run",
        "Print what would be done, and do nothing. Each line begins with get, check, skip, same "
        "or fail.",
    ),
    Row(
        "--report FILE",
        "command.reports",
        "Write a row for each line of the lists to FILE. Its suffix chooses the format: "
        f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}. FILE may be -, which is JSON lines on "
        "standard output.",
        PathByColon(),
        multiple=True,
    ),
    Row("--failed FILE", "command.failed", "Write what failed as a list that pdl can run.", FILE),
    Row(
        "--log-file FILE",
        "command.log_file",
        "Add a line to FILE for all that happens. It has all that -v shows, with the time.",
        FILE,
    ),
)
RUNNING = (
    Row(
        "--engine ENGINE",
        "pool.engine",
        "Download in worker processes, or in this one. With inline, this process fetches one "
        "file after the other, for debugging. A stop then waits for the next byte.",
        Word(ENGINES),
    ),
    Row(
        "--start-method METHOD",
        "pool.start_method",
        "Start worker processes in this way.",
        Word(get_args(settings.StartMethod)),
        default=settings.PoolSettings().method(),
    ),
    Row(
        "--wait-lock S",
        "command.wait_lock",
        "Wait S seconds for another run in the directory.",
        SECONDS,
    ),
    Row("--manual [TOPIC]", "", "Show a page of the manual, or the list of pages.", Topic()),
    Row(
        "--completion SHELL",
        "",
        "Print the script with which SHELL completes pdl.",
        Word(("bash", "zsh", "fish")),
    ),
    Row("--version", "", "Print the version."),
    Row("-h", "", "Print the options most used."),
    Row("--help", "", "Print all options."),
)

GROUPS = {
    "Input": INPUT,
    "Where to": WHERE_TO,
    "How many": HOW_MANY,
    "How fast": HOW_FAST,
    "Trying again": TRYING_AGAIN,
    "What counts as failure": WHAT_COUNTS_AS_FAILURE,
    "Integrity": INTEGRITY,
    "HTTP": HTTP,
    "Credentials": CREDENTIALS,
    "Seeing": SEEING,
    "Hooks": HOOKS,
    "Configuration": CONFIGURATION,
    "Running": RUNNING,
}
ROWS = tuple(row for rows in GROUPS.values() for row in rows)

MOST_USED = (
    *("--format", "--base-url", "--dir", "--name"),
    *("--tree", "--content-disposition", "--if-exists", "--update"),
    *("--jobs", "--per-host", "--min-speed", "--timeout"),
    *("--deadline", "--max-size", "--retries", "--fail-fast"),
    *("--allow-failures", "--checksums", "--lock", "--check"),
    *("--cache", "--header", "--proxy", "--insecure"),
    *("--progress", "--quiet", "--verbose", "--dry-run"),
    *("--report", "--failed"),
)
"""Those that ``-h`` shows, in this order."""
