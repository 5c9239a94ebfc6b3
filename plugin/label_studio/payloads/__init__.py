"""Webhook, task and annotation JSON of Label Studio -> our records. Nothing else parses it."""

from plugin.label_studio.payloads.common import PayloadError
from plugin.label_studio.payloads.regions import Reading, read_result
from plugin.label_studio.payloads.reviews import parse_review, shown_hypothesis
from plugin.label_studio.payloads.tasks import (
    DrawnTask,
    Glance,
    TaskState,
    is_cut,
    parse_drawn_task,
    parse_glance,
    parse_present,
    parse_task,
)
from plugin.label_studio.payloads.webhooks import WebhookEvent, parse_webhook

__all__ = [
    "DrawnTask",
    "Glance",
    "PayloadError",
    "Reading",
    "TaskState",
    "WebhookEvent",
    "is_cut",
    "parse_drawn_task",
    "parse_glance",
    "parse_present",
    "parse_review",
    "parse_task",
    "parse_webhook",
    "read_result",
    "shown_hypothesis",
]
