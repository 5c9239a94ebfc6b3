"""Drift: of what comes in, of what scores are worth, of what annotators say. Looks raise alarms, and end them."""

from plugin.services.drift.checks import Limits, Seen
from plugin.services.drift.looking import Look, due, look
from plugin.services.drift.sending import Receiver, send_due
from plugin.services.drift.showing import alarm_values, list_alarms, list_looks

__all__ = [
    "Limits",
    "Look",
    "Receiver",
    "Seen",
    "alarm_values",
    "due",
    "list_alarms",
    "list_looks",
    "look",
    "send_due",
]
