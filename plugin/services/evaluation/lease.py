"""One run at a time per locale: a lease row that a thread renews for as long as this process lives."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db.models import Lease
from db.repositories import leases
from db.session import TransactionMaker
from plugin.services.evaluation.errors import LeaseLostError, LocaleBusyError, RunCancelledError

log = logging.getLogger(__name__)

PREFIX = "evaluation:"
TTL = timedelta(minutes=2)
BEATS_PER_TTL = 4


def lease_name(locale: str) -> str:
    return f"{PREFIX}{locale}"


def busy_locales(session: Session) -> list[str]:
    return [name.removeprefix(PREFIX) for name in leases.live_names(session, PREFIX)]


def check_idle(session: Session, locale: str) -> None:
    """Raises LocaleBusyError when a living process holds the locale."""
    held = leases.live(session, lease_name(locale))
    if held is not None:
        raise busy_error(locale, held)


def always(_session: Session) -> bool:
    return True


def busy_error(locale: str, held: Lease | None) -> LocaleBusyError:
    by = f" ({held.holder})" if held else ""
    return LocaleBusyError(f"another training of {locale} is at work{by}: wait for it, or leave yours to the worker")


Wanted = Callable[[Session], bool]


class Heartbeat:
    """Renews a lease that is held, and asks whether the work is still wanted.

    `check` raises in the working thread once the lease is lost, or the work cancelled.
    """

    def __init__(
        self, transaction: TransactionMaker, name: str, holder: str, ttl: timedelta, wanted: Wanted = always
    ) -> None:
        self._transaction = transaction
        self._lease = name
        self._holder = holder
        self._ttl = ttl
        self._wanted = wanted
        self._stopping = threading.Event()
        self._lost = False
        self._cancelled = False
        self._thread = threading.Thread(target=self._beat, name=f"lease {name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _beat(self) -> None:
        last = time.monotonic()
        while not self._stopping.wait(self._ttl.total_seconds() / BEATS_PER_TTL):
            try:
                with self._transaction() as session:
                    kept = leases.renew(session, self._lease, self._holder, self._ttl)
                    self._cancelled = self._cancelled or not self._wanted(session)
            except SQLAlchemyError as error:
                log.warning("lease %s was not renewed: %s", self._lease, type(error).__name__)
                kept = time.monotonic() - last < self._ttl.total_seconds()
            else:
                last = time.monotonic()
            if not kept:
                self._lost = True
                return

    def check(self) -> None:
        if self._cancelled:
            raise RunCancelledError(f"what held the lease {self._lease} was cancelled")
        if self._lost:
            raise LeaseLostError(f"the lease {self._lease} was lost")

    def guard(self, session: Session) -> None:
        """Nothing is written by who has lost the lease: no one can take it until the session's transaction ends."""
        if not leases.hold(session, self._lease, self._holder):
            raise LeaseLostError(f"the lease {self._lease} was lost")
        if not self._wanted(session):
            raise RunCancelledError(f"what held the lease {self._lease} was cancelled")

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


@contextmanager
def locale_lease(
    transaction: TransactionMaker, locale: str, ttl: timedelta = TTL, wanted: Wanted = always
) -> Iterator[Heartbeat]:
    """Hold the locale. Raises LocaleBusyError when a living process holds it."""
    name = lease_name(locale)
    holder = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
    with transaction() as session:
        if not leases.take(session, name, holder, ttl):
            raise busy_error(locale, leases.live(session, name))
    heartbeat = Heartbeat(transaction, name, holder, ttl, wanted)
    heartbeat.start()
    try:
        yield heartbeat
    finally:
        heartbeat.stop()
        with suppress(SQLAlchemyError), transaction() as session:  # a database that is away lets it expire
            leases.release(session, name, holder)
