"""The queues of Label Studio: what a round selected becomes what annotators are served."""

from plugin.services.labels import label_set
from plugin.services.queues.plans import Plan, read_plan
from plugin.services.queues.publishing import Published, Webhook, ask_for_news, dirty, publish
from plugin.services.queues.showing import open_external_ids
from plugin.services.queues.writing import write_plan

__all__ = [
    "Plan",
    "Published",
    "Webhook",
    "ask_for_news",
    "dirty",
    "label_set",
    "open_external_ids",
    "publish",
    "read_plan",
    "write_plan",
]
