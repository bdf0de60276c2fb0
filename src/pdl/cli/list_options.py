"""The rows of the table of options that say what lists are like."""

from __future__ import annotations

from typing import get_args

import click

from pdl import settings
from pdl.cli.option_types import Column, Names, PathName, Row, Word
from pdl.sources.registry import CHOICES as LIST_FORMATS

INPUT = (
    Row(
        "--format FORMAT",
        "input.format",
        "Read each list in this format. With auto, its name decides, then how it begins.",
        Word(LIST_FORMATS),
    ),
    Row(
        "--base-url URL",
        "input.base_url",
        "Resolve relative URLs in lists against URL. Names in checksum files are resolved as "
        "well. The URL of a directory ends with /.",
        click.STRING,
    ),
    Row(
        "--column FIELD=COL",
        "input.columns",
        "Take this field of each file from that column. FIELD is as in lists: url, out, sha256. A "
        "number is as #2. If url has a number, the lists have no row of names.",
        Column(),
        multiple=True,
    ),
    Row(
        "--keep COLS|all",
        "input.keep",
        "Carry these columns into reports. Names may have them as {f.COLUMN}. COLS has commas "
        "between the names.",
        Names(),
    ),
    Row(
        "--archive FILE",
        "input.archive",
        "Skip the URLs in FILE, and add those fetched. A URL in it is skipped though its file is "
        "gone. Files that are there already are added, too. FILE is made if it is not there.",
        PathName(),
    ),
    Row(
        "--shard K/N|auto",
        "input.shard",
        "Take only the lines of shard K of N. A line's URL decides, so the N runs together take "
        "each line once. With auto, K and N are those of a job array of Slurm.",
        click.STRING,
    ),
    Row(
        "--shard-by PART",
        "input.shard_by",
        "Split by this. With host, a host's lines are all in one shard.",
        Word(get_args(settings.ShardBy)),
    ),
    Row(
        "--rewrite FILE",
        "input.rewrite",
        "Ask other URLs, by the rules of this file. Each is rewrite RE TO, allow HOST or block "
        "HOST, as in Bazel's downloader config.",
        PathName(),
    ),
    Row(
        "--url-command CMD",
        "input.url_command",
        "Ask this command for the URL of some lines. They have a scheme that pdl does not know, or "
        "a server answers them with 401, 403 or 410. CMD LISTED-URL prints the URL, and header "
        "fields below it.",
        click.STRING,
    ),
)
