"""What the doctor looks at, and the registry of the checks that look."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from db.session import TransactionMaker
from plugin.label_studio.protocol import LabelStudio
from plugin.services.doctor.findings import Finding
from plugin.services.queues import Webhook
from plugin.services.serving import Trial

WORDS = ("ingest", "scoring", "selection", "evaluation")

# What a check stands on; one that lacks any of it is left out.
DATABASE, SCHEMA, BROKER = "the database", "its schema", "the broker"
LABEL_STUDIO, WEBHOOKS = "Label Studio", "an address for webhooks"


@dataclass(frozen=True)
class Patient:
    """An Assay and its Label Studio. What is a function may fail: each is called by the checks that need it.

    consumers  Celery queue -> the workers that consume it
    revisions  of the schema: the database's, None when it is empty, and the code's
    parts      (name, state) of what `assay up` started here
    publish    a queue, by its id
    watch      a queue's project, by the project's id: put back what was changed
    """

    instance: str
    url: str | None
    token: str | None
    webhook: Webhook | None
    lock_ttl_s: float
    transaction: Callable[[], TransactionMaker]
    revisions: Callable[[], tuple[str | None, str]]
    consumers: Callable[[], Mapping[str, Sequence[str]]]
    connect: Callable[[], LabelStudio]
    trial: Callable[[], Trial]
    publish: Callable[[int], object]
    watch: Callable[[int], object]
    parts: Sequence[tuple[str, str]] = ()

    @cached_property
    def label_studio(self) -> LabelStudio:
        return self.connect()

    @cached_property
    def workers(self) -> Mapping[str, Sequence[str]]:
        return self.consumers()

    @cached_property
    def tried(self) -> Trial:
        return self.trial()


Run = Callable[[Patient], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """`gives` is what later checks may stand on when this one finds nothing of the kinds in `fatal`."""

    name: str
    run: Run
    needs: frozenset[str] = frozenset()
    gives: str | None = None
    fatal: frozenset[str] = frozenset()


CHECKS: list[Check] = []


def check(name: str, *needs: str, gives: str | None = None, fatal: Sequence[str] = ()) -> Callable[[Run], Run]:
    """Register a check. Checks run in the order of their registration."""

    def register(run: Run) -> Run:
        CHECKS.append(Check(name, run, frozenset(needs), gives, frozenset(fatal)))
        return run

    return register
