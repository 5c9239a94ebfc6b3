"""Errors that a person reads: one line on standard error, exit code 1, no traceback unless --debug."""


class CliError(Exception):
    """Say what is wrong with which input, and what to do."""
