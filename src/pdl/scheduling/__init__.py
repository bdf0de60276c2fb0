"""Which job runs next, at which host, and when again; without a clock, without I/O."""
