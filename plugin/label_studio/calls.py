"""What goes wrong in a call of the SDK, as the one error that the rest of Assay knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from label_studio_sdk.core.api_error import ApiError
from label_studio_sdk.core.parse_error import ParsingError

from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.payloads import UNREADABLE


@contextmanager
def errors(what: str) -> Iterator[None]:
    """The SDK's own errors print all headers. For blocks that hold a call and the reading of its answer, no more."""
    try:
        yield
    except ApiError as error:
        status = error.status_code
        if status is not None and status < httpx.codes.BAD_REQUEST:
            raise _unreadable(what, f"status {status}") from None
        uncertain = status is not None and status >= httpx.codes.INTERNAL_SERVER_ERROR
        raise LabelStudioError(what, status, error.body, uncertain=uncertain) from None
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise LabelStudioError(what, None, type(error).__name__) from None
    except httpx.TimeoutException as error:
        # It may be at work for long: nobody waits here, whoever asks later looks first, and doubles are deleted.
        raise LabelStudioError(what, None, type(error).__name__) from None
    except httpx.TransportError as error:
        raise LabelStudioError(what, None, type(error).__name__, uncertain=True) from None
    except (ParsingError, *UNREADABLE) as error:
        raise _unreadable(what, type(error).__name__) from None


def every_item(first: Any) -> Iterator[Any]:
    """The items of all pages; the page after the last is not found.

    The pager's own iterator takes a page that is none for the last one, and what it leaves out would look deleted.
    """
    page = first
    while page.items:
        yield from page.items
        try:
            page = page.get_next()
        except ApiError as error:
            if error.status_code == httpx.codes.NOT_FOUND:
                return
            raise
    if page.items is None:
        raise TypeError("a page without items")


def a_list(answer: Any) -> list[Any]:
    if not isinstance(answer, list):
        raise TypeError("no list")
    return answer


def _unreadable(what: str, how: str) -> LabelStudioError:
    """A gateway's page where JSON was due, half an answer, or no Label Studio at all: later it may be another."""
    return LabelStudioError(what, None, f"what came is not Label Studio's ({how})", uncertain=True)
