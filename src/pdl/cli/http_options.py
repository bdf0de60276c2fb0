"""A part of the table of `pdl.cli.options`: requests, connections, their pace, configuration."""

from __future__ import annotations

import click

from pdl.cli.option_types import (
    Bearer,
    Header,
    HelperCommand,
    Number,
    PathName,
    Place,
    Row,
    Seconds,
    Size,
    Text,
    UserName,
)

FILE, NUMBER, SECONDS, SIZE = PathName(), Number(), Seconds(), Size()
STRING, TEXT = click.STRING, Text()

HOW_FAST = (
    Row(
        "--limit-rate RATE",
        "http.limit_rate",
        "Receive at most RATE bytes a second in all. RATE is as 2M, or a timetable in local "
        "time: '08:00,512K 19:00,10M Sat-00:00,off'.",
        STRING,
    ),
    Row(
        "--rate N/UNIT",
        "pace.rate",
        "Start at most N attempts in a time at one host. It is as 2/s, 5/15s or 100/m. Retries "
        "count, and the starts are spread evenly.",
        STRING,
    ),
    Row("--wait S", "pace.wait", "Start an attempt at one host every S seconds.", SECONDS),
    Row("--random-wait", "pace.random_wait", "Vary each --wait from 0.5 to 1.5 of it."),
    Row(
        "--min-speed SIZE",
        "http.min_speed",
        "Give up an attempt that is slower for 10 seconds. SIZE is the bytes of one second. The "
        "file is tried again.",
        SIZE,
    ),
    Row(
        "--connect-timeout S",
        "http.connect_timeout",
        "Wait at most S seconds for a connection.",
        SECONDS,
    ),
    Row("--timeout S", "http.timeout", "Wait at most S seconds for the next byte.", SECONDS),
    Row(
        "--max-time S",
        "files.max_time",
        "Let one attempt at a file take S seconds at most.",
        SECONDS,
    ),
    Row(
        "--deadline S",
        "stop.deadline",
        "Stop the whole run after S seconds. It stops as on a signal, and exits with 1.",
        SECONDS,
    ),
    Row("--max-size SIZE", "files.max_size", "Refuse files that are larger than SIZE.", SIZE),
    Row("--min-size SIZE", "files.min_size", "Refuse files that are smaller than SIZE.", SIZE),
    Row(
        "--quota SIZE",
        "stop.quota",
        "Start nothing new once SIZE was received. What is under way is finished. The rest is "
        "left as by --deadline, and the run exits with 1.",
        SIZE,
    ),
    Row(
        "--min-free SIZE",
        "files.min_free",
        "Keep SIZE of the disk free. A file that would leave less fails. If less is free already, "
        "the run stops, and exits with 3.",
        SIZE,
    ),
)
HTTP = (
    Row(
        "-H --header HEADER",
        "http.headers",
        "Send this 'Name: value' to listed origins alone. It does not go to where they redirect. "
        "With @FILE, send the fields in a file, each on a line of its own.",
        Header(),
        multiple=True,
    ),
    Row("-A --user-agent TEXT", "http.user_agent", "Send TEXT as the User-Agent.", TEXT),
    Row(
        "-e --referer URL",
        "http.referer",
        "Send URL as the Referer to listed origins. It does not go to where they redirect.",
        TEXT,
    ),
    Row(
        "--proxy URL",
        "http.proxy",
        "Send all requests through this proxy. It is one of http, https, socks5, socks5h or "
        "socks4a.",
        STRING,
        default="from the environment",
    ),
    Row(
        "--cacert FILE",
        "http.cacert",
        "Trust the certificates in this PEM file.",
        FILE,
        default="SSL_CERT_FILE and SSL_CERT_DIR, else REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, else "
        "those of the system and of certifi",
    ),
    Row("--cert FILE", "http.cert", "Present the client certificate in this PEM file.", FILE),
    Row(
        "--key FILE",
        "http.key",
        "Take the key of the certificate from this file. It is a PEM file, and goes with --cert.",
        FILE,
        default="the file of --cert",
    ),
    Row(
        "--insecure",
        "http.insecure",
        "Accept any certificate. Anyone may then have sent the files.",
    ),
    Row(
        "--max-redirects N",
        "http.max_redirects",
        "Follow at most N redirects for one file.",
        NUMBER,
    ),
    Row(
        "--compressed",
        "http.compressed",
        "Ask for coded bodies, as gzip, and decode them. The decoded bytes are the file. Names as "
        "f.gz and f.zip stay as they are.",
    ),
    Row("--https-only", "http.https_only", "Refuse plain http, also in redirects."),
    Row(
        "--public-only",
        "http.public_only",
        "Connect to addresses of the open internet alone. This holds whatever a name or a "
        "redirect says.",
    ),
    Row("-4 --ipv4", "http.ip_version", "Connect to IPv4 addresses alone.", sets=4),
    Row("-6 --ipv6", "http.ip_version", "Connect to IPv6 addresses alone.", sets=6),
    Row(
        "--resolve PLACE",
        "http.resolve",
        "Connect to ADDR where HOST:PORT is asked for. PLACE is HOST:PORT:ADDR, and ADDR may be "
        "several addresses with commas between them. TLS and the request keep the name.",
        Place(),
        multiple=True,
    ),
)

CREDENTIALS = (
    Row(
        "-u --user USER",
        "auth.users",
        "Log in with [HOST=]USER[:PASSWORD]. Without HOST it is for the origin of the first line. "
        "Without a password it is asked for.",
        UserName(),
        multiple=True,
    ),
    Row(
        "--bearer HOST=ENVVAR",
        "auth.bearer",
        "Send HOST the token in this variable. It is one of the environment. "
        "The token goes over https alone.",
        Bearer(),
        multiple=True,
    ),
    Row("--netrc", "auth.netrc", "Log in with the entries of $NETRC or ~/.netrc."),
    Row("--netrc-file FILE", "auth.netrc_file", "Log in with the entries of this file.", FILE),
    Row(
        "--credential-helper C",
        "auth.helpers",
        "Ask this command for header fields. C is [HOST=]COMMAND, and COMMAND get speaks the "
        "protocol that Bazel has for credential helpers. Without HOST, it is asked for every "
        "listed origin.",
        HelperCommand(),
        multiple=True,
    ),
    Row(
        "--cookies FILE",
        "auth.cookies_file",
        "Send the cookies in this file. It is in Netscape's format.",
        FILE,
    ),
    Row(
        "--no-cookies",
        "auth.cookies",
        "Send no cookies. Those that servers set are sent back to them otherwise, in this run.",
        sets=False,
    ),
)

CONFIGURATION = (
    Row(
        "--config FILE",
        "command.config",
        "Take options from this file. It is TOML, and its keys are their long names.",
        FILE,
        default="config.toml in the user's configuration directory, if it is there",
    ),
    Row("--no-config", "command.no_config", "Read no configuration file."),
    Row(
        "--profile NAME",
        "command.profile",
        "Use this profile of the configuration, too. It is the table [profile.NAME] of the file, "
        "and counts more than the top of the file.",
        STRING,
    ),
)
