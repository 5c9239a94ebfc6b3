"""The last word on an utterance: which of several answers is its label.

That on the newest revision; there the adjudication of two opinions, else the review, the later one of several, else
what a second person said where no review stands. So two answers to one question are one label.
"""

from __future__ import annotations

from sqlalchemy import case, func

from db.models import AnnotationRow

BEST_FIRST = (
    AnnotationRow.revision.desc(),
    case({"adjudication": 0, "review": 1}, value=AnnotationRow.kind, else_=2),
    AnnotationRow.updated_at.desc(),
    AnnotationRow.id.desc(),
)

# 1 for the last word among the rows that are left to choose from.
PLACE = func.row_number().over(partition_by=AnnotationRow.utterance_id, order_by=BEST_FIRST)
