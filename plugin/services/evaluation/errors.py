"""What can go wrong in a run, worded for the person who asked for it."""

from __future__ import annotations

SHOWN_CHARACTERS = 500


class EvaluationError(Exception):
    """The run cannot go on with what it was given: one line that names the input and says what to do."""


class LocaleBusyError(EvaluationError):
    """Another run of the locale is at work."""


class LeaseLostError(Exception):
    """This process was silent too long, and another may be doing its work: stop without a trace."""


class RunCancelledError(Exception):
    """Somebody has cancelled the run: stop, and write nothing more of it."""


def one_line(error: BaseException) -> str:
    """What is kept in the run's row."""
    said = " ".join(str(error).split())
    text = said if isinstance(error, EvaluationError) else f"{type(error).__name__}: {said}".removesuffix(": ")
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"
