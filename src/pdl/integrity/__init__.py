"""What bytes must be, and the proof: digests and the lock file."""
