"""Whatever comes back where Label Studio should answer is one clear error, without headers and without the token."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.errors import LabelStudioError

TOKEN = "a" * 40
HTML = b"<html><title>Bad day</title></html>"
TASK = {"data": {"utterance_id": 1, "text": "play"}, "predictions": []}

CALLS: dict[str, Callable[[SdkLabelStudio], object]] = {
    "version": lambda client: client.version(),
    "whoami": lambda client: client.whoami(),
    "get_project": lambda client: client.get_project(1),
    "glance": lambda client: client.glance(1),
    "find_project": lambda client: client.find_project("title", "marker"),
    "ensure_project": lambda client: client.ensure_project({"title": "Music"}, "marker"),
    "create_project": lambda client: client.create_project({"title": "Music"}),
    "update_project": lambda client: client.update_project(1, description="x"),
    "set_order": lambda client: client.set_order(1, "v"),
    "delete_project": lambda client: client.delete_project(1),
    "list_tasks": lambda client: list(client.list_tasks(1)),
    "list_tasks, brief": lambda client: list(client.list_tasks(1, brief=True)),
    "task_ids": lambda client: client.task_ids(1),
    "send_tasks": lambda client: client.send_tasks(1, [TASK]),
    "send_predictions": lambda client: client.send_predictions(
        1, [{"task": 1, "model_version": "v", "score": 0.5, "result": []}]
    ),
    "present": lambda client: client.present(1),
    "delete_tasks": lambda client: client.delete_tasks(1, [1], leaving_since=None),
    "add_data_field": lambda client: client.add_data_field(1, [1], "decile", "1"),
    "webhooks": lambda client: client.webhooks(1),
    "ensure_webhook": lambda client: client.ensure_webhook(1, "http://web.example.org/", "secret"),
    "remove_webhook": lambda client: client.remove_webhook(1, "http://web.example.org/"),
    "tabs": lambda client: client.tabs(1),
    "ensure_tabs": lambda client: client.ensure_tabs(1),
    "ml_backends": lambda client: client.ml_backends(1),
    "sorted_by": lambda client: client.sorted_by(1, "decile"),
    "clock": lambda client: client.clock(),
    "next_task": lambda client: client.next_task(1),
    "submit_annotation": lambda client: client.submit_annotation(1, []),
    "keep_from": lambda client: client.keep_from(1, "ann@example.org"),
    "make_skip": lambda client: client.make_skip(1),
    "take_back": lambda client: client.take_back(1),
    "move_task": lambda client: client.move_task(1, "v", 0.5),
    "source_glance": lambda client: client.source_glance(1),
    "source_tasks": lambda client: client.source_tasks(1),
    "source_tasks_of": lambda client: client.source_tasks_of(1, [1]),
    "all_task_ids": lambda client: client.all_task_ids(1),
    "source_work": lambda client: client.source_work(1, [1], []),
    "annotate_from_predictions": lambda client: client.annotate_from_predictions(1, [1], ["v"]),
    "drop_predictions": lambda client: client.drop_predictions(1, "v"),
    "delete_annotation": lambda client: client.delete_annotation(1),
}
# Their answer says nothing that anybody needs.
NOT_READ = {
    "update_project", "set_order", "delete_project", "add_data_field", "make_skip", "take_back", "clock",
    "annotate_from_predictions", "drop_predictions", "delete_annotation",
}  # fmt: skip


class Impatient(SdkLabelStudio):
    """Notes for how long it would have waited."""

    pauses: float = 0

    def pause(self, seconds: float) -> None:
        self.pauses += seconds


@contextmanager
def answering(
    status: int, body: bytes, *, later: bytes | None = None, later_status: int | None = None, cut: bool = False
) -> Iterator[Impatient]:
    """`later`: the answers after the first. `cut`: more is announced than comes."""
    answers = [body]

    class Handler(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_first = len(answers) == 1
            body = answers[0] if later is None or is_first else later
            answers.append(body)
            self.send_response(status if later_status is None or is_first else later_status)
            self.send_header("Content-Length", str(len(body) + 100 * cut))
            self.end_headers()
            self.wfile.write(body)

        do_GET = answer  # noqa: N815
        do_POST = answer  # noqa: N815
        do_PATCH = answer  # noqa: N815
        do_DELETE = answer  # noqa: N815

        def log_request(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        client = Impatient(f"http://127.0.0.1:{server.server_port}", TOKEN, timeout_s=10)
        try:
            yield client
        finally:
            client.close()
            server.shutdown()


def outcome(client: SdkLabelStudio, call: Callable[[SdkLabelStudio], object]) -> LabelStudioError:
    with pytest.raises(LabelStudioError) as caught:
        call(client)
    assert TOKEN not in repr(caught.value)
    assert caught.value.__cause__ is None
    return caught.value


GARBAGE = [HTML, b"", b"[", b"null", b'"word"', b"7", b"{}"]


@pytest.mark.parametrize("name", [name for name in CALLS if name not in NOT_READ])
@pytest.mark.parametrize("body", GARBAGE, ids=repr)
def test_garbage_is_no_answer_and_the_work_may_be_done(name: str, body: bytes) -> None:
    with answering(200, body) as client:
        error = outcome(client, CALLS[name])
    assert (error.may_pass, error.uncertain) == (True, True)
    assert "what came is not Label Studio's" in str(error)


def test_a_page_that_is_none_does_not_end_a_list() -> None:
    """What is left out of a list would be taken for deleted."""
    task = {"id": 1, "project": 1, "data": {"utterance_id": 1}, "predictions": [], "annotations": [], "drafts": []}
    first = json.dumps({"tasks": [task], "total": 2, "total_annotations": 0, "total_predictions": 0}).encode()
    with answering(200, first, later=b"{}") as client, pytest.raises(LabelStudioError, match="not Label Studio's"):
        client.task_ids(1)


@pytest.mark.parametrize("name", CALLS)
def test_an_answer_that_breaks_off_may_have_done_its_work(name: str) -> None:
    with answering(200, b'{"id": 1, ', cut=True) as client:
        error = outcome(client, CALLS[name])
    assert (error.may_pass, error.uncertain) == (True, True)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("status", "may_pass", "uncertain"),
    [(400, False, False), (401, False, False), (429, True, False), (500, True, True), (502, True, True)],
)
def test_a_status_says_whether_to_try_again(name: str, status: int, may_pass: bool, uncertain: bool) -> None:
    with answering(status, b'{"detail": "no"}') as client:
        error = outcome(client, CALLS[name])
    assert (error.status, error.may_pass, error.uncertain) == (status, may_pass, uncertain)


def test_predictions_that_cannot_be_dropped_now_are_a_moment_later() -> None:
    with answering(503, b"busy", later=b"{}", later_status=200) as client:
        client.drop_predictions(1, "v")
    assert client.pauses > 0


@pytest.mark.parametrize(("status", "pauses"), [(403, False), (503, True)])
def test_predictions_that_stay_are_told(status: int, pauses: bool) -> None:
    with answering(status, b"no") as client:
        assert outcome(client, CALLS["drop_predictions"]).status == status
    assert (client.pauses > 0) is pauses
