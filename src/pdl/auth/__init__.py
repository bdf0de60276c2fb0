"""Credentials: from settings to the fields of one request to one origin. Nobody else knows of any.

What names its own receiver (``--bearer``, ``-u HOST=``, a netrc entry) goes to that host wherever
it is met, over https or to this machine alone. What the user gave without one (``-H``, the fields
and the userinfo of a line, ``-u``) goes to the listed origin alone.
"""
