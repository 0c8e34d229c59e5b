"""Errors of the results room; `harness/errors.py` draws the whole tree."""


class ResultsError(Exception):
    """Stored results cannot be read or written. The message says what, where and what to do."""

    exit_code = 2
