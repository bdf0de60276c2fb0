"""What the command tells of itself, made from the table: help, manual, completion, version."""

from __future__ import annotations

import os
import re
import shutil
import textwrap
from typing import TYPE_CHECKING, Any

import click

from pdl._version import __version__
from pdl.cli.option_types import first_sentence, topics
from pdl.cli.options import GROUPS, MOST_USED, ROWS, SIZE
from pdl.cli.to_settings import default_of
from pdl.text.rules import MAX_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

    from pdl.cli.option_types import Row

USAGE = "pdl [OPTIONS] SOURCE..."
PURPOSE = "Download every URL of the SOURCEs: list files, - for standard input, or http(s) URLs."
EXAMPLES = (
    ("pdl urls.txt -j 16 -d downloads", "16 files at once, into a directory"),
    ("some-command | pdl - --tree", "URLs as they come, on standard input"),
    ("pdl urls.txt --failed failed.txt", "then: pdl failed.txt"),
)
ELSEWHERE = "pdl --help shows all options, pdl --manual the pages of the manual."
EPILOG = (
    "Every option can be set in the environment: PDL_JOBS=16. Exit codes: 0 all well, "
    "1 some failed, 2 usage, 3 this machine cannot go on, 4 the directory is in use, "
    "9 nothing transferred, 129/130/143 by signal."
)
SCHEMA = "schema"
_SCHEMA_IS = "The JSON Schema of reports and events, for programs"
_LIST = "is not needed: give the list itself, pdl FILE; - is standard input"
_RESUME = "is not needed: pdl always goes on where it was"
_NAMES = (
    "is no option here: a file has the name of its URL; --name TEMPLATE or out=NAME in the list "
    "gives it another, -d DIR is the directory"
)
_LOGIN = "is -u HOST=USER:PASSWORD here, or --netrc"
_RETRY = "is --retries N here"
_LINKS = "is no option here: pdl follows no links; give it the list of files"
_COOKIE = "is --cookies FILE here; one alone can be sent with -H 'Cookie: NAME=VALUE'"
_TRUST = "is --insecure here"
_MANY = "is -j N here"
_THERE = "is not needed: pdl skips files that are there; --if-exists chooses otherwise"
OTHERS = {
    **dict.fromkeys(("-i", "--input-file", "-a", "--batch-file"), _LIST),
    **dict.fromkeys(("-c", "--continue", "-C", "--continue-at"), _RESUME),
    **dict.fromkeys(("-o", "--output", "--out"), _NAMES),
    **dict.fromkeys(("-O", "--output-document", "--remote-name", "--remote-name-all"), _NAMES),
    **dict.fromkeys(("-P", "--directory-prefix", "--output-dir", "--paths"), "is -d DIR here"),
    **dict.fromkeys(("-k", "--no-check-certificate", "--no-check-certificates"), _TRUST),
    "-x": "is --proxy URL here for curl's, --per-host N for aria2's, --tree for wget's",
    "--max-connection-per-server": "is --per-host N here",
    "--force-directories": "is --tree here",
    **dict.fromkeys(("--http-user", "--username"), _LOGIN),
    **dict.fromkeys(("--password", "--http-password", "--http-passwd"), _LOGIN),
    **dict.fromkeys(("-L", "--location"), "is not needed: redirects are followed"),
    **dict.fromkeys(("-f", "--fail"), "is not needed: the page of an error is never kept"),
    **dict.fromkeys(("-Z", "--parallel", "--parallel-max"), _MANY),
    "--max-concurrent-downloads": _MANY,
    **dict.fromkeys(("-t", "--tries", "--max-tries", "--retry"), _RETRY),
    **dict.fromkeys(("-r", "--recursive", "-m", "--mirror", "--no-parent"), _LINKS),
    **dict.fromkeys(("-b", "--cookie", "--load-cookies"), _COOKIE),
    **dict.fromkeys(("-n", "--no-clobber", "--no-overwrites"), _THERE),
    "--on-download-complete": "is --exec 'CMD {path}' here",
    "--output-file": "is --log-file FILE here",
    "--log": "is --log-file FILE here",
    "--allow-overwrite": "is --if-exists overwrite here",
    "--checksum": "is checksum= in the list here, or --checksums FILE",
}
"""Options of wget, curl, aria2 and yt-dlp that are none here, and what is said of each."""
_EXIT_CODE = re.compile(r"^- `(\d+)`: (.*?)(?=^- |\Z)", re.MULTILINE | re.DOTALL)
_CODE_WORD = re.compile(r"`([^`]*)`")
_FISH_NAME = "(string match -r -- '^--[^=]*=' (commandline -t))"
_FISH_FINDS = ("__fish_complete_directories", "__fish_complete_path")
_FISH_EACH = 'for each in ({} $metadata[2]); echo "$name"$each; end;'
_BEHIND_EQUALS = {
    "zsh": [
        (
            "    local -a response\n",
            "    local -a response\n    local name=${(M)words[CURRENT]#--*=}\n",
        ),
        ('("$key")', '("$name$key")'),
        ("_path_files", "compset -P 1 '--*='; _path_files"),
    ],
    "fish": [
        ("    for comp", f"    set -l name {_FISH_NAME};\n    for comp"),
        ("echo $metadata[2];", 'echo "$name"$metadata[2];'),
        *((f"{each} $metadata[2];", _FISH_EACH.format(each)) for each in _FISH_FINDS),
    ],
}
"""What is put into click's scripts for the value in ``--name=value``: it alone is to change."""
_SEPARATORS = {None: "white space", "\n": "a line break", ":": "a colon"}
MANUAL_INTRODUCTION = f"""\
Sizes are bytes, or have a suffix K, M, G or T for powers of 1,024 (`500K`, `1.5GiB`). Times are
seconds, at most {MAX_SECONDS:,}. Brackets show what holds when an option is not given.

A variable of the environment sets its option, too: `PDL_JOBS=16` is `--jobs 16`, `PDL_RETRY_WAIT=2`
is `--retry-wait 2`, `PDL_TREE=1` is `--tree`. The command line wins over the variable.
`PDL_DEBUG=1` shows the traceback of an internal error.\
"""
_SHELL_AND_MAN = """\
## The shell and `man`

A line in `~/.bashrc`, or of the like in `~/.zshrc` below `compinit`, lets the shell complete
options, their words, files and directories; fish reads a file:

```sh
eval "$(pdl --completion bash)"
eval "$(pdl --completion zsh)"
pdl --completion fish > ~/.config/fish/completions/pdl.fish
```

`pdl --manual man` prints all options as a page for `man`:

```sh
pdl --manual man > ~/.local/share/man/man1/pdl.1
```
"""


def short_help(width: int) -> str:
    """What ``-h`` prints: examples, the options most used, and where the rest is."""
    room = max(len(example) for example, _ in EXAMPLES)
    examples = [f"  {example:{room}}  # {remark}" for example, remark in EXAMPLES]
    by_name = {row.opts[-1]: row for row in ROWS}
    lines = [f"Usage: {USAGE}", "", *_wrapped(PURPOSE, width), "", "Examples:", *examples, ""]
    lines.append("Options most used:")
    for row in map(by_name.__getitem__, MOST_USED):
        default = f"  [{default_text(row)}]" if default_text(row) else ""
        line = _line(row) + first_sentence(row.text)
        lines.append(line + default if len(line + default) < width else line)
    return "\n".join([*lines, "", ELSEWHERE])


def long_help(width: int) -> str:
    """What ``--help`` prints: all options, by group, in one column layout."""
    lines = [f"Usage: {USAGE}", "", *_wrapped(PURPOSE, width), *_wrapped(ELSEWHERE, width)]
    for heading, rows in GROUPS.items():
        lines += ["", f"{heading}:"]
        for row in rows:
            indent = " " * len(_line(row))
            first, *rest = _wrapped(sentences_of(row), width - len(indent))
            lines += [_line(row) + first, *(indent + line for line in rest)]
    return "\n".join([*lines, "", *_wrapped(EPILOG, width)])


def options_page() -> str:
    """The page of the manual that has all options, in Markdown."""
    lines = ["# Options", "", MANUAL_INTRODUCTION, "", _SHELL_AND_MAN]
    for heading, rows in GROUPS.items():
        lines += [f"## {heading}", "", "| option | variable | meaning |", "| --- | --- | --- |"]
        lines += [
            f"| {_names_cell(row)} | {_variable_cell(row)} | {_told_cell(row)} |" for row in rows
        ]
        lines.append("")
    return "\n".join([*lines, *_choices()])


def man_page() -> str:
    """The page for ``man``, in roff."""
    return "\n".join([*_man_head(), *_man_options(), *_man_rest(), ""])


def in_roff(text: str) -> str:
    """Text that roff takes for text, on one line."""
    text = " ".join(text.split()).replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    text = text.replace("^", r"\(ha").replace("~", r"\(ti")
    text = _CODE_WORD.sub(r"\\fB\1\\fR", text)
    return rf"\&{text}" if text.startswith(".") else text


def _man_head() -> Iterator[str]:
    yield f'.TH PDL 1 "" "pdl {__version__}" "User Commands"'
    yield from (".nh", ".ad l")  # a name of an option is not to be broken
    yield from (".SH NAME", r"pdl \- download a list of URLs")
    yield from (".SH SYNOPSIS", r".B pdl", r"[\fIOPTIONS\fR] \fISOURCE\fR...")
    yield from (".SH DESCRIPTION", in_roff(PURPOSE))
    yield ".SH EXAMPLES"
    for example, remark in EXAMPLES:
        yield from (".TP", rf"\fB{in_roff(example)}\fR", in_roff(remark))


def _man_options() -> Iterator[str]:
    yield ".SH OPTIONS"
    for paragraph in MANUAL_INTRODUCTION.split("\n\n"):
        yield from (".PP", in_roff(paragraph))
    for heading, rows in GROUPS.items():
        yield f".SS {in_roff(heading)}"
        for row in rows:
            yield from (".TP", _man_names(row), in_roff(sentences_of(row)))


def _man_names(row: Row) -> str:
    names = ", ".join(rf"\fB{in_roff(each)}\fR" for each in row.opts)
    return rf"{names} \fI{in_roff(row.metavar)}\fR" if row.metavar else names


def _man_rest() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, meaning in _EXIT_CODE.findall(manual_page("exit").partition("## Exit codes")[2]):
        yield from (".TP", rf"\fB{code}\fR", in_roff(meaning.partition("\n\n")[0]))
    yield from (".SH SEE ALSO", r"Each page of the manual is shown by \fBpdl \-\-manual\fR.")
    for topic, heading in headings():
        yield from (".TP", rf"\fBpdl \-\-manual {topic}\fR", in_roff(heading))


def _choices() -> Iterator[str]:
    """What the words of some options mean, as the registries have it."""
    from pdl.output.display.registry import MODES
    from pdl.output.reports.registry import FORMATS as REPORTS
    from pdl.pool.registry import ENGINES
    from pdl.sources.registry import FORMATS

    told = {
        "--format": [(row.name, row.sentence) for row in FORMATS],
        "--report": [(row.suffix, row.sentence) for row in REPORTS],
        "--progress": [(row.name, row.sentence) for row in MODES],
        "--engine": [(row.name, row.sentence) for row in ENGINES],
    }
    for option, rows in told.items():
        yield f"## `{option}`"
        yield ""
        yield from (f"- `{word}`: {sentence}" for word, sentence in rows)
        yield ""


def _line(row: Row) -> str:
    """The left column; long names stand below each other."""
    return f"  {_shown(row):{_LEFT}}  "


def _shown(row: Row) -> str:
    names = ", ".join(row.opts)
    aside = "" if row.opts[0][1] != "-" else "    "
    return f"{aside}{names} {row.metavar}".rstrip()


def sentences_of(row: Row, *, in_manual: bool = False) -> str:
    """All sentences of a row, with those that can be derived from it, and the default."""
    sentences = [row.text]
    if row.choices and not in_manual:
        *most, last = row.choices
        words = f"{', '.join(most)} or {last}" if most else last
        sentences.append(f"{row.metavar.strip('[]')} is {words}.")
    if row.kind is not None and row.multiple:
        sentences.append("It can be given several times.")
        if in_manual:
            separator = _SEPARATORS[row.kind.envvar_list_splitter]
            sentences.append(f"In the variable, {separator} separates them.")
    default = default_text(row)
    return " ".join(sentences) + (f" [{default}]" if default else "")


def default_text(row: Row) -> str:
    """What holds where nothing is said, as it would be given; empty where that is nothing."""
    if row.default or row.kind is None or not row.target:
        return row.default
    value = default_of(row.target)
    if isinstance(value, frozenset):
        return ",".join(map(str, sorted(value)))
    if row.kind is SIZE and isinstance(value, int):
        return _size_text(value)
    if isinstance(value, (int, float)):
        return f"{value:g}"
    return str(value) if value else ""


def _size_text(size: int) -> str:
    for power, suffix in ((4, "T"), (3, "G"), (2, "M"), (1, "K")):
        if size and not size % 1024**power:
            return f"{size // 1024**power}{suffix}"
    return str(size)


def _names_cell(row: Row) -> str:
    *short, long = row.opts
    value = "|".join(row.choices) if row.choices and row.target else row.metavar
    names = [*short, f"{long} {value}".rstrip()]
    return ", ".join(f"`{name}`" for name in names).replace("|", r"\|")


def _variable_cell(row: Row) -> str:
    return f"`{row.variable}`" if row.variable else ""


def _told_cell(row: Row) -> str:
    return sentences_of(row, in_manual=True).replace("|", r"\|")


def _wrapped(text: str, width: int) -> list[str]:
    # a word is never broken: an option's name is looked for as a whole
    return textwrap.wrap(text, width - 1, break_long_words=False, break_on_hyphens=False)


def page_width() -> int:
    """Columns of the terminal, between 80 and 120; 80 where there is none."""
    columns = shutil.get_terminal_size((0, 0)).columns
    for descriptor in (2, 0):  # where standard output is a pager's or grep's
        if not columns and os.isatty(descriptor):
            columns = os.get_terminal_size(descriptor).columns
    return min(max(columns, 80), 120)


def _print_short(_given: object) -> None:
    click.echo(short_help(page_width()))


def _print_long(_given: object) -> None:
    click.echo(long_help(page_width()))


def _print_version(_given: object) -> None:
    click.echo(f"pdl, version {__version__}")


def join_completed_words(environ: MutableMapping[str, str]) -> None:
    """Make ``--format js`` of what bash calls three words, ``--format = js``; click does not."""
    words = environ["COMP_WORDS"].split("\n")
    place = int(environ["COMP_CWORD"])
    if words[place - 1] == "=" and words[place - 2].startswith("--"):
        del words[place - 1]
        environ.update({"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(place - 1)})


def _print_completion(shell: str) -> None:
    from click.shell_completion import get_completion_class  # for this alone

    known = get_completion_class(shell)
    assert known is not None  # one of the option's choices
    script = known(click.get_current_context().command, {}, "pdl", "_PDL_COMPLETE").source()
    for theirs, ours in _BEHIND_EQUALS.get(shell, ()):
        script = script.replace(theirs, ours)
    click.echo(script)


def _show_manual(topic: str) -> None:
    if topic == "man":  # for a file, or for man itself
        click.echo(manual_page(topic).rstrip("\n"))
        return
    if topic:
        click.echo_via_pager(manual_page(topic).rstrip("\n"))  # which ends the last line
        return
    click.echo("Pages of the manual, each shown by pdl --manual TOPIC:\n")
    for name, heading in headings():
        click.echo(f"  {name:12}  {heading}")


def headings() -> list[tuple[str, str]]:
    """The pages of the manual, each with its heading."""
    made = {SCHEMA: _SCHEMA_IS, "man": "All options, as a page for man"}
    pages = {name: made.get(name) or manual_page(name).partition("\n")[0] for name in topics()}
    return [(name, heading.lstrip("# ")) for name, heading in sorted(pages.items())]


def manual_page(topic: str) -> str:
    """A page of the manual, in Markdown; the schema is JSON, that for ``man`` is roff."""
    if topic == "options":
        return options_page()
    if topic == "man":
        return man_page()
    from importlib.resources import files  # for the manual alone

    name = f"{topic}.json" if topic == SCHEMA else f"{topic}.md"
    return (files("pdl") / "manual" / name).read_text(encoding="utf-8")


ANSWERS: dict[str, Callable[[Any], None]] = {
    "-h": _print_short,
    "--help": _print_long,
    "--version": _print_version,
    "--manual": _show_manual,
    "--completion": _print_completion,
}
"""What is printed instead of a run, by option."""

_LEFT = max(len(_shown(row)) for row in ROWS)
