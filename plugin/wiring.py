"""Builds what the doors hand to the services, once per process; never at import, so that forked workers are safe."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from typing import Any

from celery import Celery
from kombu import pools
from kombu.exceptions import OperationalError as BrokerError
from pydantic import SecretStr
from sqlalchemy import Engine

from db.session import TransactionMaker, advisory_lock, make_engine, transaction_maker
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import BY_SCORE
from plugin.services import drift, selection, watching
from plugin.services.agreement import is_of_reviews, publish_opinions, rework
from plugin.services.ingest import Collected, reconcile
from plugin.services.queues import Published, Webhook, ask_for_news, dirty, publish
from plugin.services.serving import Trial, known_or_tried, try_and_remember
from plugin.services.sources import Polled, WrittenBack, poll, write_back
from plugin.services.tidying import tidy
from plugin.settings import Settings, SettingsError, get_settings

log = logging.getLogger(__name__)

BROKER_SECONDS = 2
PUBLISHED_AGAIN = 3
VERSION_SECONDS = 300
ANSWER_SECONDS = 2  # a worker in the middle of a Celery task answers all the same


@dataclass(frozen=True)
class Wiring:
    settings: Settings
    _trials: list[tuple[float, Trial]] = field(default_factory=list, compare=False, repr=False)

    @cached_property
    def engine(self) -> Engine:
        return make_engine(required(self.settings, "database_url"))

    @cached_property
    def transaction(self) -> TransactionMaker:
        return transaction_maker(self.engine)

    @cached_property
    def celery(self) -> Celery:
        return make_celery(required(self.settings, "broker_url"))

    @cached_property
    def label_studio(self) -> LabelStudio:
        return self.label_studio_as(required(self.settings, "label_studio_token"))

    def label_studio_as(self, token: str) -> LabelStudio:
        """Label Studio as the owner of `token` sees it."""
        # Its SDK loads pandas and more: a second that most commands need not spend.
        from plugin.label_studio.client import SdkLabelStudio

        return SdkLabelStudio(
            required(self.settings, "label_studio_url"),
            token,
            timeout_s=self.settings.label_studio_timeout_seconds,
            chunk=self.settings.label_studio_import_chunk,
        )

    @property
    def instance(self) -> str:
        return self.settings.label_studio_instance

    @property
    def webhook(self) -> Webhook | None:
        """None leaves the news to polling."""
        base, secret = self.settings.webhook_base_url, self.settings.webhook_secret
        if base is None or secret is None:
            return None
        return Webhook(f"{base.rstrip('/')}/webhooks/label-studio", secret.get_secret_value())

    def keep_up(self, locale: str) -> selection.Refreshed | None:
        """Bring a locale's round to what has come in, unless another process does it now."""
        with advisory_lock(self.engine, f"refresh:{locale}", wait=False) as held:
            return selection.keep_up(self.transaction, locale, datetime.now(UTC), self.instance) if held else None

    def publish(self, queue_id: int, *, wait: bool) -> Published | None:
        """Publish a queue, one process at a time; without `wait`, leave it to whoever does it now, and at the end looks
        whether more has come meanwhile.
        """
        with advisory_lock(self.engine, f"publish:{queue_id}", wait=wait) as held:
            # While Label Studio was away, the sweeps have sent one message a minute.
            is_asked_for = held and (wait or self._is_dirty(queue_id))
            done = self._publish(queue_id) if is_asked_for else None
            for _ in range(PUBLISHED_AGAIN):
                if done is None or not self._is_dirty(queue_id):
                    break
                self._publish(queue_id)
            return done

    def _publish(self, queue_id: int) -> Published | None:
        with self.transaction() as session:
            publish_it = publish if is_of_reviews(session, queue_id) else publish_opinions
        now, sampling = datetime.now(UTC), self.sampling()
        return publish_it(self.transaction, self.label_studio, self.instance, queue_id, now, self.webhook, sampling)

    def _is_dirty(self, queue_id: int) -> bool:
        with self.transaction() as session:
            return queue_id in dirty(session, self.instance)

    def tidy(self, queue_id: int) -> None:
        """Delete what a queue should not hold, and serve again what is to be, unless it is being published."""
        with advisory_lock(self.engine, f"publish:{queue_id}", wait=False) as held:
            if held:
                rework(self.transaction, self.label_studio, self.instance, queue_id)
                tidy(self.transaction, self.label_studio, self.instance, queue_id)

    def reconcile(self, project_id: int, *, wait: bool, force: bool = False) -> Collected | None:
        """Collect a project's reviews, one process at a time; without `wait`, leave it to whoever does it now."""
        with advisory_lock(self.engine, f"reconcile:{project_id}", wait=wait) as held:
            if not held:
                return None
            overlap = timedelta(seconds=self.settings.reconcile_overlap_seconds)
            found = reconcile(
                self.transaction, self.label_studio, self.instance, project_id, overlap=overlap, force=force
            )
        self.watch(project_id, force=force)
        return found

    def watch(self, project_id: int, *, force: bool = False) -> None:
        """Put back what somebody changed in a queue's project, now and then, unless it is being published."""
        with self.transaction() as session:
            queue_id = watching.due(session, self.instance, project_id, force=force)
        if queue_id is None:
            return
        with advisory_lock(self.engine, f"publish:{queue_id}", wait=False) as held:
            if held:
                watching.watch(self.transaction, self.label_studio, self.instance, queue_id, self.sampling())
                if self.webhook is not None:  # somebody may have switched it off
                    ask_for_news(self.label_studio, project_id, self.webhook)

    def trial(self, *, anew: bool = False) -> Trial:
        """How this Label Studio serves its queues, tried once a version and asked for its version now and then."""
        if not anew and self._trials and time.monotonic() - self._trials[-1][0] < VERSION_SECONDS:
            return self._trials[-1][1]
        version = self.label_studio.version()
        with advisory_lock(self.engine, f"trial:{self.instance}", wait=True):
            run = try_and_remember if anew else known_or_tried
            trial = run(self.transaction, self.label_studio, self.instance, version)
        self._trials[:] = [(time.monotonic(), trial)]
        return trial

    def sampling(self) -> str:
        """What keeps the planned order there; the usual where we may not try."""
        try:
            return self.trial().sampling
        except LabelStudioError as error:
            if error.may_pass:
                raise
            log.warning("how Label Studio serves was not tried: %s", error)
            return BY_SCORE

    def look_for_drift(self, locale: str, *, wait: bool = False) -> drift.Look | None:
        """Look at a locale, one process at a time; None where it has no model, or somebody else looks now."""
        with advisory_lock(self.engine, f"drift:{locale}", wait=wait) as held:
            return drift.look(self.transaction, locale, datetime.now(UTC), self.limits) if held else None

    @property
    def limits(self) -> drift.Limits:
        known = self.settings
        return drift.Limits(
            traffic=timedelta(days=known.drift_days),
            reviews=timedelta(days=known.drift_review_days),
            fewest=known.drift_fewest,
            fewest_reviews=known.drift_fewest_reviews,
            stability=known.drift_stability,
            ranking=known.drift_ranking,
            accepts=known.drift_accepts,
            calibration=known.drift_calibration,
        )

    def send_alarms(self) -> int:
        """Post what is due to whoever asked for alarms; how many were taken there."""
        url, secret = self.settings.alarm_webhook_url, self.settings.alarm_webhook_secret
        if url is None or secret is None:
            return 0
        receiver = drift.Receiver(url.get_secret_value(), secret.get_secret_value())
        return drift.send_due(self.transaction, receiver, datetime.now(UTC))

    def poll_source(self, source_id: int, *, wait: bool, force: bool = False) -> Polled | None:
        """Read an attached project, one process at a time; without `wait`, leave it to whoever does it now."""
        with advisory_lock(self.engine, f"source:{source_id}", wait=wait) as held:
            if not held:
                return None
            overlap = timedelta(seconds=self.settings.reconcile_overlap_seconds)
            return poll(self.transaction, self.label_studio, self.instance, source_id, overlap=overlap, force=force)

    def write_back(self, source_id: int, *, wait: bool) -> WrittenBack | None:
        """Write reviews to an attached project. Not while it is read: what is on its way there is no news."""
        with advisory_lock(self.engine, f"source:{source_id}", wait=wait) as held:
            if not held:
                return None
            return write_back(self.transaction, self.label_studio, self.instance, source_id)

    def consumers(self) -> dict[str, list[str]]:
        """Celery queue -> the workers that consume it. Raises ConnectionError when the broker is away."""
        try:
            answers = self.celery.control.inspect(timeout=ANSWER_SECONDS).active_queues() or {}
        except (BrokerError, OSError) as error:
            raise ConnectionError(type(error.__cause__ or error).__name__) from None
        found: dict[str, list[str]] = {}
        for worker, consumed in answers.items():
            for queue in consumed:
                found.setdefault(str(queue["name"]), []).append(str(worker))
        return found

    def close(self) -> None:
        """Give back every connection that was opened."""
        opened = self.__dict__
        if "engine" in opened:
            self.engine.dispose()
        if "celery" in opened:
            pools.reset()  # type: ignore[no-untyped-call]
            self.celery.close()
        if "label_studio" in opened:
            self.label_studio.close()

    def send(self, name: str, *args: Any) -> bool:
        """Ask a worker for a Celery task, by name. False when the broker is away: the sweeps find the work again."""
        try:
            self.celery.send_task(name, args=args, queue=name.partition(".")[0], retry=False)
        except BrokerError as error:
            log.warning("broker unreachable, %s waits for the next sweep: %s", name, type(error.__cause__).__name__)
            return False
        return True


def required(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if value is None:
        home = settings.home.resolve()
        raise SettingsError(f"ASSAY_{name.upper()} is not set, and no `assay up` has run in {home} (ASSAY_HOME)")
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


def make_celery(broker_url: str) -> Celery:
    """Only a sender: the Celery tasks themselves are registered in `tasks.app`."""
    app = Celery("assay-sender", broker=broker_url)
    app.conf.update(
        task_ignore_result=True,
        broker_transport_options={
            "socket_connect_timeout": BROKER_SECONDS,
            "socket_timeout": BROKER_SECONDS,  # a broker that takes the connection and says nothing is away too
            "max_retries": 0,
        },
        broker_connection_timeout=BROKER_SECONDS,
    )
    return app


@cache
def get_wiring() -> Wiring:
    return Wiring(get_settings())
