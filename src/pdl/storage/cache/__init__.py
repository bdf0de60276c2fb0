"""The cache: bytes of files under their SHA-256, shared by runs and directories.

Theory of operation
===================

::

    DIR/v1/files/2c/26b46b...   the bytes with that SHA-256; read-only
    DIR/v1/index/9f/86d081...   a few words of JSON: a URL, or a digest of another kind, has led to
                                that file. Named by a hash, for URLs may hold secrets.
    DIR/v1/new/                 what is being written
    DIR/v1/used                 bytes in use; locked while room is made

A name under ``files`` comes into being by one rename of a whole file, and its bytes never change:
readers take no lock, two runs that bring the same file do no harm, and a run that is killed leaves
at most something under ``new``, which goes after a day. What vanishes or is broken is a file that
is not there.

**A file's time** says two things. Its seconds are when it was used last: the least recently used
goes first. The fraction is a seal, made of the digest, the size and this boot of the machine, and
set once the bytes were found to have that digest. Any write replaces it, and so does the loss of
what was not on the disk yet in a power cut, for the boot is another one then: a file without its
seal is digested before it is believed. So is each file that another user could have written.
"""
