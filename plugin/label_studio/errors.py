"""What goes wrong between Assay and Label Studio, in words that may be logged: no headers, no tokens."""

from __future__ import annotations

from functools import partial

BODY_CHARACTERS = 300


class LabelStudioError(Exception):
    """`what` was tried; `status` is the HTTP status, None when no answer came.

    uncertain  whether Label Studio may have done the work all the same
    """

    def __init__(self, what: str, status: int | None, body: object, *, uncertain: bool = False) -> None:
        self.what = what
        self.status = status
        self.body = str(body)[:BODY_CHARACTERS]
        self.uncertain = uncertain
        answer = "no answer" if status is None else f"status {status}"
        super().__init__(f"Label Studio: {what}: {answer}: {self.body}")

    def __reduce__(self) -> tuple[object, ...]:
        """Celery hands what a task raised from process to process."""
        make = partial(type(self), uncertain=self.uncertain)
        return make, (self.what, self.status, self.body)

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed later: nobody answered, or was too busy, or failed."""
        return self.status is None or self.status == 429 or self.status >= 500
