"""Faults of the queues' projects, caused by hand in the fake and, in the full suite, in a real Label Studio."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from db.models import Queue, SelectionRow
from plugin.label_studio.queues import BY_SCORE, label_regions
from plugin.label_studio.tabs import TABS
from plugin.services.doctor import mend
from tests.integration.doctor.conftest import Cause, Clinic


def change(**settings: object) -> Cause:
    return lambda clinic: clinic.site.admin.update_project(clinic.project_id, **settings)


def hands(what: str, **changes: object) -> Cause:
    return lambda clinic: getattr(clinic.site.hands, what)(clinic.project_id, **changes)


# The fault, what is found, and what the sentence says.
FAULTS: list[tuple[str, Cause, set[str], str]] = [
    ("sampling", change(sampling="Uniform sampling"), {"sampling-changed"}, "sampling is 'Uniform sampling', not"),
    ("model version", change(model_version=""), {"model-version-changed"}, "model_version is"),
    ("annotations", change(maximum_annotations=2), {"several-annotations"}, "maximum_annotations is 2, not 1"),
    ("a setting", change(skip_queue="REQUEUE_FOR_ME"), {"setting-changed"}, "skip_queue is 'REQUEUE_FOR_ME'"),
    (
        "hidden predictions",
        change(show_collab_predictions=False),
        {"setting-changed", "model-version-changed"},
        "show_collab_predictions is False, not True",
    ),
    (
        "the screen",
        change(label_config='<View><Text name="utterance" value="$text"/></View>'),
        {"screen-edited"},
        "label_config was edited",
    ),
    ("no tabs", hands("drop_tabs"), {"tabs-missing"}, "lacks the tabs"),
    ("a webhook off", hands("change_webhooks", is_active=False), {"webhook-off"}, "is switched off"),
    ("another secret", hands("change_webhooks", headers={}), {"webhook-changed"}, "another secret"),
    ("another address", hands("change_webhooks", url="http://127.0.0.1:9/x"), {"webhook-missing"}, "has no webhook to"),
    ("no project", hands("delete_project"), {"project-gone"}, "is no longer in Label Studio"),
]


def test_nothing_is_found_where_nothing_is_wrong_and_nothing_is_left_behind(clinic: Clinic) -> None:
    report = clinic.report()
    assert [finding.what for finding in report.findings] == []
    assert report.is_healthy
    assert report.left_out == {}
    for title, marker in (
        ("Assay · trial of webhooks", "assay-trial-of-webhooks"),
        ("Assay · und · assay-trial", "assay-queue:und:assay-trial"),
    ):
        assert clinic.site.admin.find_project(title, marker) is None


@pytest.mark.parametrize(
    ("cause", "names", "words"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_a_fault_is_found_explained_and_mended(clinic: Clinic, cause: Cause, names: set[str], words: str) -> None:
    cause(clinic)
    report = clinic.report()
    assert {finding.name for finding in report.findings} == names
    assert any(words in finding.what for finding in report.findings)
    domain = clinic.queue.domain
    assert all(domain in finding.what for finding in report.findings)
    mended, failed = mend(report)
    assert failed == []
    assert {finding.name for finding in mended} == names
    assert clinic.names() == []


def test_a_deleted_project_is_filled_anew(clinic: Clinic) -> None:
    tasks = len(clinic.site.admin.task_ids(clinic.project_id))
    gone = clinic.project_id
    clinic.site.hands.delete_project(gone)
    mend(clinic.report())
    assert clinic.project_id != gone
    assert len(clinic.site.admin.task_ids(clinic.project_id)) == tasks > 0


def test_a_mended_queue_serves_in_its_order_and_has_its_tabs(clinic: Clinic) -> None:
    clinic.site.admin.update_project(clinic.project_id, sampling="Uniform sampling", model_version="")
    clinic.site.hands.drop_tabs(clinic.project_id)
    mend(clinic.report())
    assert clinic.site.admin.get_project(clinic.project_id)["sampling"] == BY_SCORE
    assert set(clinic.site.admin.tabs(clinic.project_id)) >= {tab.title for tab in TABS}


def test_a_project_of_somebody_else_is_told_and_left_alone(clinic: Clinic) -> None:
    theirs = clinic.site.admin.create_project({"title": "Somebody else's", "label_config": "<View/>"})
    project_id = clinic.project_id
    with clinic.wiring.transaction() as session:
        session.execute(update(Queue).where(Queue.project_id == project_id).values(project_id=theirs))
    report = clinic.report()
    assert [finding.name for finding in report.findings] == ["project-not-ours"]
    assert "'Somebody else's', is not the queue" in report.findings[0].what.replace('"', "'")
    assert mend(report) == ([], [])
    assert clinic.site.admin.get_project(theirs)["title"] == "Somebody else's"
    clinic.site.admin.delete_project(project_id)


def test_an_ml_backend_is_told(clinic: Clinic) -> None:
    clinic.site.hands.connect_ml_backend(clinic.project_id, "helper")
    [finding] = clinic.findings()
    assert finding.name == "ml-backend"
    assert "'helper'" in finding.what
    assert finding.put_right is None


def test_a_task_that_somebody_imported_is_told(clinic: Clinic) -> None:
    clinic.site.hands.import_task(clinic.project_id, {"text": "by hand"})
    clinic.wiring.reconcile(clinic.project_id, wait=True, force=True)
    [finding] = clinic.findings()
    assert (finding.name, finding.what.split(" in ")[0]) == ("tasks-by-hand", "1 tasks")


def review(clinic: Clinic, count: int) -> None:
    """As people do, by the button *Label All Tasks*; and collected."""
    person = clinic.site.annotators[0]
    for _ in range(count):
        task = person.next_task(clinic.project_id)
        assert task is not None
        assert task.shown is not None
        person.submit_annotation(task.task_id, label_regions(task.shown, task.text))
    long_ago = datetime.now(UTC) - timedelta(hours=2)
    with clinic.wiring.transaction() as session:
        session.execute(update(SelectionRow).values(created_at=long_ago))
    clinic.wiring.reconcile(clinic.project_id, wait=True, force=True)


def test_membership_rows_show_in_the_order_of_the_reviews(clinic: Clinic) -> None:
    clinic.site.hands.set_members(clinic.project_id, 2)
    review(clinic, 18)
    [finding] = clinic.findings()
    assert finding.name == "order-random"
    assert "of the last 18 reviews" in finding.what
    assert "projects_projectmember" in finding.kind.why


def test_reviews_in_order_are_no_finding(clinic: Clinic) -> None:
    review(clinic, 18)
    assert clinic.names() == []
