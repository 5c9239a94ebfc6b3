"""The word ingest: records of production logs and gold files come in, reviews come back from Label Studio."""

from plugin.services.ingest.collection import (
    POLL_EVERY,
    Collected,
    ReviewSource,
    handle_webhook_event,
    projects_to_reconcile,
    receive_webhook,
    reconcile,
)
from plugin.services.ingest.intake import (
    DEFAULT_GOLD_SOURCE,
    DEFAULT_SOURCE,
    Chunk,
    Reject,
    Summary,
    check_partition,
    check_source,
    ingest_annotations,
    ingest_utterances,
    score_ranges,
)

__all__ = [
    "DEFAULT_GOLD_SOURCE",
    "DEFAULT_SOURCE",
    "POLL_EVERY",
    "Chunk",
    "Collected",
    "Reject",
    "ReviewSource",
    "Summary",
    "check_partition",
    "check_source",
    "handle_webhook_event",
    "ingest_annotations",
    "ingest_utterances",
    "projects_to_reconcile",
    "receive_webhook",
    "reconcile",
    "score_ranges",
]
