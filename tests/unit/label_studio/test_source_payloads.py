"""Tasks of somebody else's project: what is no task is told, what is ours there is known."""

from __future__ import annotations

from typing import Any

import pytest

from plugin.label_studio.payloads import PayloadError
from plugin.label_studio.payloads.sources import is_our_version, parse_source_task, parse_source_work

TIME = "2026-11-25T19:03:45.088641Z"


def task(**changed: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "id": 7, "data": {"text": "play"}, "meta": {}, "created_at": TIME, "updated_at": TIME, "predictions": [],
        "annotations": [], "draft_exists": False,
    }  # fmt: skip
    return {**whole, **changed}


def annotation(id_: int, parent: int | None = None, **changed: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": id_,
        "parent_prediction": parent,
        "updated_by": None,
        "was_cancelled": False,
        "result": [],
    }
    return {**made, **changed}


@pytest.mark.parametrize("broken", [{"id": None}, {"updated_at": "yesterday"}, {"predictions": [{"score": 1}]}])
def test_what_is_no_task_is_told(broken: dict[str, Any]) -> None:
    with pytest.raises(PayloadError, match="Label Studio sent a task without a proper"):
        parse_source_task(task(**broken))


@pytest.mark.parametrize("data", [None, [1], "text"])
def test_data_that_cannot_be_used_is_still_a_task(data: object) -> None:
    assert parse_source_task(task(data=data, meta=None)).data == {}


def test_our_own_predictions_are_no_hypotheses() -> None:
    versions: list[str | None] = ["assay-review-2", "nlu", "assay-review", None, "assay-reviewer"]
    predictions = [{"id": 9 - number, "model_version": version} for number, version in enumerate(versions)]
    found = parse_source_task(task(predictions=predictions)).predictions
    assert [item["model_version"] for item in found] == ["assay-reviewer", None, "nlu"]
    assert [is_our_version(version) for version in versions] == [True, False, True, False, False]


def test_an_annotation_is_ours_by_its_prediction_or_its_known_id_until_somebody_changes_it() -> None:
    predictions = [{"id": 1, "model_version": "assay-review"}, {"id": 2, "model_version": "nlu"}]
    annotations = [
        annotation(11, parent=1), annotation(12), annotation(13, parent=2), annotation(14, parent=1, updated_by=3),
        annotation(15), annotation(16, was_cancelled=True),
    ]  # fmt: skip
    work = parse_source_work(task(predictions=predictions, annotations=annotations), known=[12])
    assert {id_: ours.version for id_, ours in work.ours.items()} == {11: "assay-review", 12: ""}
    assert work.by_people == {13, 14, 15}


def test_an_annotation_whose_origin_is_not_told_is_an_error() -> None:
    """Taken for a person's, it would never be written again, and nobody would know why."""
    bare = {"id": 11, "was_cancelled": False, "result": []}
    with pytest.raises(PayloadError, match="task 7 cannot be read: KeyError: 'parent_prediction'"):
        parse_source_work(task(annotations=[bare]), known=[])
