"""Reports: what becomes of the results, one file a format."""
