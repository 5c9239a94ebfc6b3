"""Sources: projects of somebody else's in Label Studio whose tasks are utterances of ours."""

from plugin.services.sources.attaching import Asked, AttachError, Trial, attach, try_out
from plugin.services.sources.polling import Polled, poll, source_of
from plugin.services.sources.reading import kinds
from plugin.services.sources.sweeping import WEBHOOK_ACTIONS, ask_for_news, due_for_polling, due_for_writing, of_event
from plugin.services.sources.writing import WrittenBack, write_back

__all__ = [
    "WEBHOOK_ACTIONS",
    "Asked",
    "AttachError",
    "Polled",
    "Trial",
    "WrittenBack",
    "ask_for_news",
    "attach",
    "due_for_polling",
    "due_for_writing",
    "kinds",
    "of_event",
    "poll",
    "source_of",
    "try_out",
    "write_back",
]
