"""Servers for the tests: one that misbehaves by script, and real ones started for a test."""
