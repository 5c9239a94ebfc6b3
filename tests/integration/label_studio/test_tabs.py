"""The tabs on a real Label Studio: each lists what its title says, whatever columns there are."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from plugin.label_studio.queues import label_regions
from plugin.label_studio.tabs import REVIEW, SUSPECTED, TABS, YES
from plugin.stack import accounts
from tests.integration.label_studio.conftest import PLAY, Site, queue_tasks
from tests.servers import LabelStudioServer

pytestmark = pytest.mark.label_studio


@pytest.fixture
def site(real_site: Site) -> Site:
    return real_site


@pytest.fixture
def api(label_studio_server: LabelStudioServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=label_studio_server.url, timeout=60, trust_env=False) as client:
        token = label_studio_server.annotators(1)[0].token
        client.headers["Authorization"] = f"Bearer {accounts.access_token(label_studio_server.url, token)}"
        yield client


def listed(api: httpx.Client, project: int) -> dict[str, list[int]]:
    """Title -> the utterances that an annotator sees in the tab."""
    found = {}
    for view in api.get("/api/dm/views/", params={"project": project}).raise_for_status().json():
        answer = api.get("/api/tasks/", params={"project": project, "view": view["id"]}).raise_for_status()
        found[view["data"]["title"]] = [task["data"]["utterance_id"] for task in answer.json()["tasks"]]
    return found


def test_each_tab_lists_what_its_title_says(site: Site, api: httpx.Client) -> None:
    project = site.queue()
    ids = site.publish(project, queue_tasks(5))
    site.admin.ensure_tabs(project)
    nothing: list[int] = []
    everything = [100, 101, 102, 103, 104]
    assert listed(api, project) == {tab.title: nothing for tab in TABS} | {"To do": everything}, (
        "no column is there yet"
    )
    for _ in range(4):
        task = site.annotators[0].next_task(project)
        assert task is not None
        site.annotators[0].submit_annotation(task.task_id, label_regions(PLAY, task.text))
    site.admin.add_data_field(project, ids[:1], REVIEW, "accepted")
    site.admin.add_data_field(project, ids[1:2], REVIEW, "fixed")
    site.admin.add_data_field(project, ids[2:3], REVIEW, "rejected: other language")
    site.admin.add_data_field(project, ids[3:4], REVIEW, "rejected: unintelligible")
    site.admin.add_data_field(project, ids[1:3], SUSPECTED, YES)
    site.admin.add_data_field(project, ids[4:], REVIEW, "fixed")  # of a review that was deleted since
    assert listed(api, project) == {
        "To do": [104],
        "Reviewed": [103, 102, 101, 100],
        "Fixed": [101],
        "Rejected": [103, 102],
        "Suspected label errors": [102, 101],
    }


def test_new_columns_disturb_neither_import_nor_order(site: Site) -> None:
    project = site.queue()
    first, second, third = queue_tasks(3)
    ids = site.publish(project, [first])
    site.admin.add_data_field(project, ids, REVIEW, "fixed")
    site.publish(project, [first, third, second])
    served = []
    for client in site.annotators[:3]:
        task = client.next_task(project)
        assert task is not None
        served.append(task.utterance_id)
    assert served == [100, 101, 102]
