"""What the doctor asks: the fake and the real Label Studio alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.integration.label_studio.conftest import Site, queue_tasks


def test_the_clock_is_told_to_the_second(site: Site) -> None:
    clock = site.admin.clock()
    assert clock is not None
    assert abs(clock - datetime.now(UTC)) < timedelta(seconds=30)


def test_settings_are_told_to_a_superuser_alone(site: Site) -> None:
    facts = site.admin.server_facts()
    assert (facts.engine, facts.lock_ttl_s) == ("django.db.backends.postgresql", 3600)
    told = site.annotators[0].server_facts()
    assert (told.engine, told.lock_ttl_s) == (None, None)


def test_on_postgresql_a_column_of_numbers_is_sorted_as_text(site: Site) -> None:
    """By which a Label Studio on SQLite is told, whoever asks."""
    project = site.queue()
    numbered = [replace(task, columns={"n": n}) for task, n in zip(queue_tasks(4), [9, 10, 100, 1], strict=True)]
    site.publish(project, numbered)
    assert site.admin.sorted_by(project, "n") == [103, 101, 102, 100]
