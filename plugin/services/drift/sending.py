"""Alarms on their way out: signed messages of Standard Webhooks, at least once, the same one under the same id.

A message is taken in a row before it is posted and marked in it afterwards: who dies in between has it posted again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import orjson
from standardwebhooks.webhooks import Webhook

from db.models import Alarm
from db.repositories import alarms
from db.session import TransactionMaker
from plugin.services.drift.showing import alarm_values

log = logging.getLogger(__name__)

# 1 min, 2 min, ... 17 h: for a day and a half.
MOST_TRIES = 12
FIRST_PAUSE = timedelta(minutes=1)
ANSWER_SECONDS = 15.0
GONE = 410  # the receiver wants no more of them


@dataclass(frozen=True)
class Receiver:
    """Where alarms go. Neither of the two is ever logged: an address may hold a secret too."""

    url: str
    secret: str

    def __repr__(self) -> str:
        return f"Receiver({urlsplit(self.url).hostname})"


@dataclass(frozen=True)
class Message:
    alarm_id: int
    is_end: bool
    id: str
    body: bytes


def send_due(transaction: TransactionMaker, receiver: Receiver, now: datetime) -> int:
    """Post every message that is due; how many were taken."""
    with transaction() as session:
        found = alarms.take_unsent(session, now, most_tries=MOST_TRIES, first_pause=FIRST_PAUSE)
        messages = [to_message(alarm) for alarm in found]
        last_tries = {alarm.id for alarm in found if alarm.tries >= MOST_TRIES}
    sent = 0
    for message in messages:
        problem, is_final = post(receiver, message)
        with transaction() as session:
            if problem is None:
                alarms.set_sent(session, message.alarm_id, datetime.now(UTC), end=message.is_end)
                sent += 1
                continue
            alarms.set_problem(session, message.alarm_id, problem, tries=MOST_TRIES if is_final else None)
        given_up = is_final or message.alarm_id in last_tries
        log.log(
            logging.ERROR if given_up else logging.WARNING,
            "alarm %d was not taken by the webhook, %s: %s",
            message.alarm_id,
            "and is not sent again" if given_up else "which is tried again later",
            problem,
        )
    return sent


def to_message(alarm: Alarm) -> Message:
    """The same bytes under the same id for the same alarm, as long as it is not seen anew."""
    event = "raised" if alarm.resolved_at is None else "resolved"
    values = alarm_values(alarm)
    body = {
        "type": f"alarm.{event}",
        "timestamp": alarm.raised_at if alarm.resolved_at is None else alarm.resolved_at,
        "data": {name: values[name] for name in SENT},
    }
    return Message(alarm.id, event == "resolved", f"assay-alarm-{alarm.id}-{event}", orjson.dumps(body))


SENT = (
    "id", "kind", "locale", "domain", "value", "threshold", "sentence", "details", "raised_at", "resolved_at", "run_id",
)  # fmt: skip


def post(receiver: Receiver, message: Message) -> tuple[str | None, bool]:
    """None when it was taken, else why not, without a word of the address; and whether to try again is no use."""
    at = datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "user-agent": "assay",
        "webhook-id": message.id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(receiver.secret).sign(message.id, at, message.body.decode()),
    }
    try:
        answer = httpx.post(receiver.url, content=message.body, headers=headers, timeout=ANSWER_SECONDS)
    except httpx.HTTPError as error:
        return type(error).__name__, False
    if answer.is_success:
        return None, False
    return f"HTTP {answer.status_code}", answer.status_code == GONE
