"""Counts of what the first person who was asked has said."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import AnnotationRow, UtteranceRow


class Showing(NamedTuple):
    """How many reviews say what of utterances that were shown in one way."""

    locale: str
    shown_blind: bool
    verdict: str
    reviews: int


def showings(session: Session, locale: str | None = None, domain: str | None = None) -> list[Showing]:
    """Of all locales, of one, or of one domain that was heard there. No second opinions: they are asked otherwise."""
    query = (
        select(UtteranceRow.locale, AnnotationRow.shown_blind, AnnotationRow.verdict, func.count())
        .join(UtteranceRow, UtteranceRow.id == AnnotationRow.utterance_id)
        .where(AnnotationRow.annotation_id.is_not(None), AnnotationRow.withdrawn_at.is_(None))
        .where(AnnotationRow.kind == "review")
        .group_by(UtteranceRow.locale, AnnotationRow.shown_blind, AnnotationRow.verdict)
        .order_by(UtteranceRow.locale, AnnotationRow.shown_blind, AnnotationRow.verdict)
    )
    if locale is not None:
        query = query.where(UtteranceRow.locale == locale)
    if domain is not None:
        query = query.where(UtteranceRow.domain == domain)
    return [Showing._make(row) for row in session.execute(query)]
