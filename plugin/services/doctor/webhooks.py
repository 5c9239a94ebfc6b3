"""Does Label Studio send to us, and does it arrive? Asked by trying, in a project that is gone afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from db.repositories import polls, symptoms, webhook_events
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.protocol import LabelStudio
from plugin.services.doctor.findings import Finding
from plugin.services.doctor.patient import LABEL_STUDIO, SCHEMA, WEBHOOKS, Patient, check

TITLE = "Assay · trial of webhooks"
MARKER = "assay-trial-of-webhooks"
CONFIG = f'<View idAttr="{MARKER}"><Text name="utterance" value="$text"/></View>'
ACTIONS = ("PROJECT_UPDATED",)
ARRIVAL_SECONDS = 5.0
PAUSE_SECONDS = 0.1


REFUSALS = ("webhook-unset", "webhook-refused", "webhook-host-one-label", "webhook-host-unresolved")


@check("address of webhooks", LABEL_STUDIO, gives=WEBHOOKS, fatal=REFUSALS)
def address(patient: Patient) -> Iterator[Finding]:
    hook = patient.webhook
    if hook is None:
        yield Finding("webhook-unset", "Label Studio is not told where to send webhooks.")
        return
    with _trial(patient.label_studio) as project_id:
        try:
            patient.label_studio.ensure_webhook(project_id, hook.url, hook.secret, ACTIONS)
        except LabelStudioError as error:
            if error.may_pass:
                raise
            yield _refused(hook.url, error)


@check("arrival of webhooks", LABEL_STUDIO, SCHEMA, WEBHOOKS)
def arrival(patient: Patient) -> Iterator[Finding]:
    hook = patient.webhook
    assert hook is not None
    with patient.transaction()() as session:
        since = polls.clock(session)
    with _trial(patient.label_studio) as project_id:
        patient.label_studio.ensure_webhook(project_id, hook.url, hook.secret, ACTIONS)
        patient.label_studio.update_project(project_id, description="It is deleted now.")
        if not _has_come(patient, project_id, since):
            yield Finding("webhook-lost", f"What Label Studio sends to {hook.url} does not reach our inbox.")


@contextmanager
def _trial(client: LabelStudio) -> Iterator[int]:
    """A project that is gone afterwards, with its webhook; also one that a killed doctor left behind."""
    while (left := client.find_project(TITLE, MARKER)) is not None:
        client.delete_project(left)
    settings = {"title": TITLE, "description": "It is deleted in a moment.", "label_config": CONFIG}
    project_id = client.create_project(settings)
    try:
        yield project_id
    finally:
        client.delete_project(project_id)


def _refused(url: str, error: LabelStudioError) -> Finding:
    if "resolve hostname" in error.body:
        return Finding("webhook-host-unresolved", f"Label Studio cannot resolve the host of {url}.")
    if "valid URL" in error.body:
        return Finding("webhook-host-one-label", f"Label Studio takes {url} for no address.")
    return Finding("webhook-refused", f"Label Studio will not send to {url} (status {error.status}).")


def _has_come(patient: Patient, project_id: int, since: datetime) -> bool:
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while True:
        with patient.transaction()() as session:
            if symptoms.has_event(session, project_id, since):
                webhook_events.mark_project_handled(session, project_id, polls.clock(session), "a trial of webhooks")
                return True
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_SECONDS)
