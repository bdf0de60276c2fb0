"""How worker processes are started, and what they must not meet on the way."""
