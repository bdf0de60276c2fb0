"""What the fields of HTTP mean, as pure functions."""
