"""Transformations of a network that make it smaller or faster, each recorded so that it can be made again."""
