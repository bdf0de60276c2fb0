"""Every fallible call of a small run, failed in turn; and the process killed at each."""
