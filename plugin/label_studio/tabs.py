"""The tabs of a queue's project: for looking, since *Label Tasks As Displayed* takes no locks.

Everybody may see every tab and every column, so nothing that tells an item's arm or score is there before the item is
reviewed: the columns below are filled in afterwards (docs/decisions/0009-what-annotators-see.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# What a review came to, and what the models had said. Names without a space: Label Studio fails on others.
REVIEW, SUSPECTED = "review", "suspected_label_error"
ENTROPY, EL2N = "entropy_at_import", "el2n_at_import"
COLUMNS_OF_REVIEWED = (REVIEW, SUSPECTED, ENTROPY, EL2N)
ACCEPTED, FIXED, REJECTED = "accepted", "fixed", "rejected"
YES, NO = "yes", "no"
NOTHING = ""

Filter = dict[str, Any]


def _filter(column: str, operator: str, value: str | int, kind: str = "String") -> Filter:
    return {"filter": f"filter:tasks:{column}", "operator": operator, "type": kind, "value": value}


TO_DO = _filter("total_annotations", "equal", 0, "Number")
DONE = _filter("total_annotations", "greater", 0, "Number")


@dataclass(frozen=True, slots=True)
class Tab:
    title: str
    ordering: str
    filters: tuple[Filter, ...]

    @property
    def is_of_reviewed(self) -> bool:
        return DONE in self.filters


NEWEST_FIRST = "-tasks:completed_at"
TABS = (
    Tab("To do", "tasks:predictions_score", (TO_DO,)),
    Tab("Reviewed", NEWEST_FIRST, (DONE,)),
    Tab("Fixed", NEWEST_FIRST, (DONE, _filter(f"data.{REVIEW}", "equal", FIXED))),
    Tab("Rejected", NEWEST_FIRST, (DONE, _filter(f"data.{REVIEW}", "contains", REJECTED))),
    Tab("Suspected label errors", NEWEST_FIRST, (DONE, _filter(f"data.{SUSPECTED}", "equal", YES))),
)

HIDDEN_COLUMNS = (
    "inner_id", "annotations_results", "annotations_ids", "predictions_score", "predictions_results",
    "predictions_model_versions", "total_annotations", "cancelled_annotations", "total_predictions", "file_upload",
    "storage_filename", "created_at", "updated_at", "updated_by", "avg_lead_time", "draft_exists", "data.utterance_id",
)  # fmt: skip
# Of what is not done there is nothing in them.
HIDDEN_TO_DO = ("completed_at", "annotators", *(f"data.{column}" for column in COLUMNS_OF_REVIEWED))


def tab_data(tab: Tab) -> dict[str, Any]:
    columns = HIDDEN_COLUMNS if tab.is_of_reviewed else (*HIDDEN_COLUMNS, *HIDDEN_TO_DO)
    hidden = [f"tasks:{column}" for column in columns]
    return {
        "title": tab.title,
        "type": "list",
        "ordering": [tab.ordering],
        "filters": {"conjunction": "and", "items": list(tab.filters)},
        "hiddenColumns": {"explore": hidden, "labeling": hidden},
    }
