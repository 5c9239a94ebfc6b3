"""Webhook, task and annotation JSON of Label Studio -> our records. Nothing else parses it."""

from plugin.label_studio.payloads.common import UNREADABLE, PayloadError, read_utterance_id
from plugin.label_studio.payloads.inspection import Hook, ServerFacts, parse_hook, parse_server_facts
from plugin.label_studio.payloads.regions import Reading, read_result
from plugin.label_studio.payloads.reviews import Skip, parse_review, shown_hypothesis
from plugin.label_studio.payloads.tasks import (
    DrawnTask,
    Glance,
    TaskState,
    is_bare,
    is_cut,
    parse_bare_task,
    parse_date,
    parse_drawn_task,
    parse_glance,
    parse_present,
    parse_task,
)
from plugin.label_studio.payloads.webhooks import WebhookEvent, parse_webhook

__all__ = [
    "UNREADABLE",
    "DrawnTask",
    "Glance",
    "Hook",
    "PayloadError",
    "Reading",
    "ServerFacts",
    "Skip",
    "TaskState",
    "WebhookEvent",
    "is_bare",
    "is_cut",
    "parse_bare_task",
    "parse_date",
    "parse_drawn_task",
    "parse_glance",
    "parse_hook",
    "parse_present",
    "parse_review",
    "parse_server_facts",
    "parse_task",
    "parse_webhook",
    "read_result",
    "read_utterance_id",
    "shown_hypothesis",
]
