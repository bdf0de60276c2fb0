"""One run, in the main process: built, planned, driven, reported."""
