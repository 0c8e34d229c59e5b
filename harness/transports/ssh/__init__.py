"""A device over SSH."""
