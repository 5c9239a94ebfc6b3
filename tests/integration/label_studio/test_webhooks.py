"""The webhooks that Label Studio sends, their shapes, and the addresses that it refuses: fake and real alike."""

from __future__ import annotations

import pytest

from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.inspection import SECRET_HEADER
from plugin.label_studio.payloads import WebhookEvent, parse_webhook
from tests.integration.label_studio.conftest import Site, queue_tasks
from tests.label_studio_hands import Received, listener


def events(received: Received) -> list[WebhookEvent]:
    return [parse_webhook(body) for _, body in received]


def test_a_submitted_annotation_and_deleted_tasks_are_told_with_their_ids(site: Site) -> None:
    project = site.queue()
    ids = site.publish(project, queue_tasks(3))
    with listener() as (url, received):
        site.admin.ensure_webhook(project, url, "secret")
        annotation = site.annotators[0].submit_annotation(ids[0], [])
        site.hands.delete_tasks(project, ids[1:])
    assert {headers[SECRET_HEADER.lower()] for headers, _ in received} == {"secret"}
    shapes = [{"action", "annotation", "project", "task"}, {"action", "project", "tasks"}]
    assert [set(body) for _, body in received] == shapes
    submitted, deleted = events(received)
    assert (submitted.action, submitted.project_id) == ("ANNOTATION_CREATED", project)
    assert (submitted.task_ids, submitted.annotation_ids) == ((ids[0],), (annotation,))
    assert (deleted.action, deleted.project_id, deleted.task_ids) == ("TASKS_DELETED", project, tuple(ids[1:]))


def test_our_own_writes_send_nothing(site: Site) -> None:
    project = site.queue()
    with listener() as (url, received):
        site.admin.ensure_webhook(project, url, "secret")
        ids = site.publish(project, queue_tasks(2))
        site.admin.add_data_field(project, ids, "state at import", "hard")
        site.admin.update_project(project, description="SEMER 21.9 %")
        site.admin.ensure_tabs(project)
    assert received == []


def test_a_change_of_the_project_is_told_to_who_asks_for_it(site: Site) -> None:
    project = site.queue()
    with listener() as (url, received):
        site.admin.ensure_webhook(project, url, "secret", ["PROJECT_UPDATED"])
        site.admin.update_project(project, description="changed")
    assert [(event.action, event.project_id) for event in events(received)] == [("PROJECT_UPDATED", project)]


def test_a_webhook_that_was_switched_off_sends_nothing_and_is_seen(site: Site) -> None:
    project = site.queue()
    (task_id,) = site.publish(project, queue_tasks(1))
    with listener() as (url, received):
        site.admin.ensure_webhook(project, url, "secret")
        site.hands.change_webhooks(project, is_active=False)
        assert [(hook.url, hook.is_active) for hook in site.admin.webhooks(project)] == [(url, False)]
        site.admin.ensure_webhook(project, url, "secret")
        assert [(hook.url, hook.is_active) for hook in site.admin.webhooks(project)] == [(url, True)]
        site.hands.change_webhooks(project, is_active=False)
        site.annotators[0].submit_annotation(task_id, [])
    assert received == []


def test_a_webhook_never_shows_its_secret(site: Site) -> None:
    project = site.queue()
    with listener() as (url, _):
        site.admin.ensure_webhook(project, url, "do-not-show")
        (hook,) = site.admin.webhooks(project)
    assert "do-not-show" not in repr(hook)


@pytest.mark.parametrize(
    ("url", "status", "words"),
    [
        ("http://10.1.2.3:8040/webhooks/label-studio", 403, "reserved network"),
        ("http://web:8040/webhooks/label-studio", 400, "valid URL"),
        ("http://web.assay.invalid:8040/webhooks/label-studio", 400, "resolve hostname"),
    ],
)
def test_addresses_that_label_studio_refuses(site: Site, url: str, status: int, words: str) -> None:
    project = site.queue()
    with pytest.raises(LabelStudioError, match=words) as caught:
        site.admin.ensure_webhook(project, url, "secret")
    assert (caught.value.status, caught.value.may_pass) == (status, False)
    assert site.admin.webhooks(project) == []
