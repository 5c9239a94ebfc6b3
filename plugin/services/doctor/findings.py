"""What the doctor can find: each kind with why it matters and the mend. `docs/doctor.md` has the same table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """`ERROR`: annotators are not served as planned, or nothing is. `WARNING`: it works, slower or not for long."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Kind:
    severity: Severity
    why: str
    mend: str


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` is found, in one sentence. `put_right` does the mend, where that is safe, ours, and harmless twice."""

    name: str
    what: str
    put_right: Callable[[], object] | None = None

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    def to_json(self) -> dict[str, Any]:
        kind = self.kind
        return {
            "finding": self.name,
            "severity": str(kind.severity),
            "what": self.what,
            "why": kind.why,
            "mend": kind.mend,
            "can_be_mended": self.put_right is not None,
        }


def error(why: str, mend: str) -> Kind:
    return Kind(Severity.ERROR, why, mend)


def warning(why: str, mend: str) -> Kind:
    return Kind(Severity.WARNING, why, mend)


MEND = "assay label-studio doctor --mend"

KINDS: Mapping[str, Kind] = {
    # Our own parts.
    "database-unreachable": error(
        "Nothing is stored, chosen or published without the database.",
        "Start PostgreSQL (`assay up`), or correct ASSAY_DATABASE_URL.",
    ),
    "migrations-behind": error(
        "The code expects other tables than there are: every command and every worker may fail.",
        "`assay db upgrade`, with the version of Assay that all its processes run.",
    ),
    "broker-down": error(
        "Web and beat cannot ask workers for anything; what is committed waits in the database.",
        "Start Redis or RabbitMQ (`assay up`), or correct ASSAY_BROKER_URL.",
    ),
    "queue-without-consumer": error(
        "What is sent to this Celery queue is done by nobody.",
        "Start its worker: `assay up`, or `celery -A tasks worker -Q` and the queue's name.",
    ),
    "beat-silent": error(
        "Beat asks for the sweeps: without them lost messages are not found again and reviews come by webhook alone.",
        "Start it: `assay up`, or `celery -A tasks beat`.",
    ),
    "part-not-running": error(
        "A part that `assay up` started is not there to do its work.",
        "Read its log in `.assay/logs`; `assay down`, then `assay up`.",
    ),
    "queues-wait": warning(
        "Annotators work on an older choice than the newest.",
        "The worker's log says what keeps it; `assay selection refresh` publishes at once.",
    ),
    "webhooks-wait": warning(
        "Reviews are collected late.",
        "The log of the worker for the queue `ingest` says what keeps it; `assay ingest reconcile` collects at once.",
    ),
    "source-fails": warning(
        "New and changed tasks of the attached project are not ingested, and reviews not written back to it.",
        "Mend what it says; `assay label-studio sync` tries again. Or detach it.",
    ),
    # Label Studio itself.
    "label-studio-unreachable": error(
        "No queue can be published and no review collected.",
        "Start Label Studio (`assay up`), or correct ASSAY_LABEL_STUDIO_URL.",
    ),
    "token-dead": error(
        "Label Studio answers nothing to us.",
        "Make a personal access token (Account & Settings) and set ASSAY_LABEL_STUDIO_TOKEN; under `assay up`: "
        "`assay down`, then `assay up`.",
    ),
    "token-legacy": warning(
        "Label Studio refuses such tokens unless told otherwise, and later versions will.",
        "Make a personal access token (Account & Settings) and set ASSAY_LABEL_STUDIO_TOKEN.",
    ),
    "token-expires": warning(
        "Label Studio answers nothing to us from that day on.",
        "Make a new personal access token in time and set ASSAY_LABEL_STUDIO_TOKEN.",
    ),
    "version-untested": warning(
        "The order of the queues rests on behaviour that Label Studio does not document.",
        "Run a tested version; or trust the trial of the serving order, which each new version is put to.",
    ),
    "label-studio-on-sqlite": error(
        "SQLite has no row locks: two people are served the same task.",
        "Run Label Studio on PostgreSQL (DJANGO_DB=default and POSTGRE_HOST, POSTGRE_NAME, ...).",
    ),
    "locks-outlive-ours": error(
        "A task that leaves is deleted when its lock must have run out: here somebody may still hold it.",
        "Start Label Studio with TASK_LOCK_TTL=3600.",
    ),
    "clock-skew": warning(
        "Times of reviews, of rounds and of leaving tasks are compared with each other.",
        "Let NTP set the clocks of all hosts.",
    ),
    "serving-fallback": warning(
        "Live arrivals come last, and a new round after what is open of the last one.",
        "Run a tested version of Label Studio; what it does otherwise is worth an issue.",
    ),
    "order-not-kept": error(
        "Nothing we know makes this Label Studio serve tasks in a planned order.",
        "Run a tested version of Label Studio.",
    ),
    # Webhooks.
    "webhook-unset": warning(
        "Reviews are collected by polling alone, up to a minute late.",
        "Set ASSAY_WEBHOOK_BASE_URL and ASSAY_WEBHOOK_SECRET.",
    ),
    "webhook-refused": warning(
        "Label Studio sends nothing to private addresses (SSRF protection): reviews come by polling alone.",
        "Let it send to this one address: `python -m plugin.stack.ssrf ADDRESS` prints the variables for Label Studio.",
    ),
    "webhook-host-one-label": warning(
        "Label Studio takes no host name without a dot: reviews come by polling alone.",
        "Give the host a name with a dot (a network alias such as web.assay.internal) in ASSAY_WEBHOOK_BASE_URL.",
    ),
    "webhook-host-unresolved": warning(
        "Label Studio cannot find our host: reviews come by polling alone.",
        "Correct ASSAY_WEBHOOK_BASE_URL, or the name service of Label Studio's host.",
    ),
    "webhook-lost": warning(
        "Reviews come by polling alone, up to a minute late.",
        "Is web running, reachable from Label Studio's host, and told the same ASSAY_WEBHOOK_SECRET?",
    ),
    "webhook-missing": warning("Its reviews come by polling alone.", f"`{MEND}`, or wait for the next publishing."),
    "webhook-off": warning("Its reviews come by polling alone.", f"`{MEND}`, or wait for the next publishing."),
    "webhook-changed": warning(
        "Web refuses webhooks with another secret, and hears nothing of actions that are not sent.",
        f"`{MEND}`, or wait for the next publishing.",
    ),
    # Queues.
    "project-gone": error(
        "Nobody can work on this queue.",
        f"`{MEND}` makes a new one with all that is not annotated; so does `assay selection refresh`.",
    ),
    "project-not-ours": error(
        "Assay writes nothing into somebody else's project.",
        "Give another Label Studio another ASSAY_LABEL_STUDIO_INSTANCE, or set ASSAY_LABEL_STUDIO_URL back.",
    ),
    "sampling-changed": error("Tasks are not served in the planned order.", f"`{MEND}`; polling does it in minutes."),
    "model-version-changed": error(
        "Tasks are served at random, or in the order of an earlier round.",
        f"`{MEND}`; polling does it in minutes. If its predictions were deleted: `assay selection refresh`.",
    ),
    "several-annotations": error(
        "With several annotations a task Label Studio serves begun tasks first and ignores the order.",
        f"`{MEND}`; polling does it in minutes. Second opinions have a queue of their own.",
    ),
    "screen-edited": error(
        "What people submit on another screen cannot be read, or lacks what a label needs.",
        f"`{MEND}`; polling does it in minutes.",
    ),
    "setting-changed": warning("The queue behaves otherwise than planned.", f"`{MEND}`; polling does it in minutes."),
    "order-random": error(
        "Something serves tasks in another order: rows in Label Studio's table projects_projectmember (more than one "
        "a project makes it random), or people who label from a tab.",
        "Delete those rows in Label Studio's database; have people press Label All Tasks.",
    ),
    "tabs-missing": warning("Admins lack the views of the queue.", f"`{MEND}`, or wait for the next publishing."),
    "ml-backend": warning(
        "Its title becomes the project's model version as soon as ours is taken away: the order is gone.",
        "Disconnect it (Settings, Model).",
    ),
    "tasks-by-hand": warning(
        "Tasks that are not Assay's have no place in the order: they are served at random, after all others.",
        "Delete them in Label Studio, or attach their project as a source.",
    ),
    "check-failed": warning(
        "What it would have found is not known.",
        "`assay --debug label-studio doctor` shows where it broke off; it is worth an issue.",
    ),
}
