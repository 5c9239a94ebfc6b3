"""A typo must not end as a policy or a schedule that nothing ever reads."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.models import PolicyRow
from db.repositories import policies as rows
from plugin.services import policies
from plugin.services.evaluation import EvaluationError, put
from tests import factories
from tests.integration.cli.conftest import Refused

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def change(session: Session, locale: str, domain: str = "*", **updates: Any) -> dict[str, Any]:
    return policies.change(session, locale, domain, updates or {"budget": 50}, changed_by="test", comment="")


@pytest.mark.parametrize("locale", ["sw_KE", "SW-ke", "swahili", "", "**"])
def test_a_locale_must_be_a_language_tag(session: Session, locale: str) -> None:
    with pytest.raises(ValueError, match=r"^locale: must"):
        change(session, locale)
    with pytest.raises(EvaluationError, match=r"^locale: must"):
        put(session, "nightly", locale=locale, test_set="test", cron="0 3 * * *", now=NOW)
    assert rows.every(session) == []


def test_a_domain_that_the_locale_does_not_know_is_refused(session: Session) -> None:
    factories.utterances(session, 3)
    known = ", ".join(sorted(factories.DOMAINS))
    with pytest.raises(ValueError, match=rf"^en-US has no domain 'Musik': there is {known}$"):
        change(session, "en-US", "Musik")
    assert change(session, "en-US", "music") == {"budget": 50}


def test_a_domain_of_the_champion_is_known_before_any_utterance_has_it(session: Session) -> None:
    factories.utterances(session, 1, domain="chess", intent="chess_move")
    factories.champion(session)
    assert change(session, "en-US", "music") == {"budget": 50}
    assert change(session, "en-US", "chess") == {"budget": 50}
    with pytest.raises(ValueError, match=r"there is .*chess"):
        change(session, "en-US", "chest")


def test_policies_may_come_before_the_data(session: Session) -> None:
    factories.utterances(session, 3)
    assert change(session, "sw-KE", "muziki") == {"budget": 50}
    factories.utterances(session, 1, source="bare", locale="de-DE", domain=None, intent=None)
    assert change(session, "de-DE", "Musik") == {"budget": 50}


@pytest.mark.parametrize("domain", ["", " music", "mu\nsic"])
def test_a_domain_must_be_a_label(session: Session, domain: str) -> None:
    with pytest.raises(ValueError, match=r"^domain: must not"):
        change(session, "sw-KE", domain)


def test_what_was_stored_by_mistake_can_be_taken_back(session: Session) -> None:
    factories.utterances(session, 3)
    session.add_all(
        [PolicyRow(locale="en-US", domain="Musik", budget=5), PolicyRow(locale="en_US", domain="*", seed=5)]
    )
    session.flush()
    assert change(session, "en-US", "Musik", budget=None) == {}
    assert change(session, "en_US", seed=None) == {}
    assert rows.every(session) == []
    with pytest.raises(ValueError, match="no domain 'Musik'"):
        change(session, "en-US", "Musik", budget=None)


@pytest.mark.parametrize(
    ("updates", "message"),
    [
        ({"budget": 99_999_999_999}, "budget must be at most 2147483647, not 99999999999"),
        ({"seed": 2**63}, "seed must lie in .*, not 9223372036854775808"),
        ({"seed": -(2**63) - 1}, "seed must lie in"),
    ],
)
def test_numbers_have_bounds(session: Session, updates: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        change(session, "sw-KE", **updates)
    assert change(session, "sw-KE", budget=2**31 - 1, seed=-(2**63)) == {"budget": 2**31 - 1, "seed": -(2**63)}


@pytest.mark.usefixtures("configured")
def test_the_command_says_so_in_one_line(refused: Refused) -> None:
    expected = 'locale: must be a language tag like sw-KE, en or zh-Hant-TW, not "sw_KE"'
    assert refused("policy", "set", "--locale", "sw_KE", "--budget", "50") == expected
    assert refused("policy", "unset", "budget", "--locale", "sw_KE") == expected
    assert refused("policy", "show", "--locale", "sw_KE") == expected
    schedule = ("evaluation", "schedule", "set", "nightly", "--test-set", "test")
    assert refused(*schedule, "--locale", "sw_KE") == expected
    assert "test set" in refused(*schedule, "--locale", "sw-KE", "--test-set", " ")
    assert "budget must be at most" in refused("policy", "set", "--budget", "99999999999")


def test_the_blind_share_is_set_inherited_and_bounded(session: Session) -> None:
    assert policies.resolve(session, "en-US")["*"].blind_share == 0.05
    assert change(session, "en-US", blind_share=0.2) == {"blind_share": 0.2}
    assert policies.resolve(session, "en-US")["*"].blind_share == 0.2
    with pytest.raises(ValueError, match=r"blind_share must lie in \[0, 0.5\], not 0.6"):
        change(session, "en-US", blind_share=0.6)
    with pytest.raises(ValueError, match="blind_share for domain 'music' alone needs a budget of its own"):
        change(session, "en-US", "music", blind_share=0.1)
    session.add(PolicyRow(locale="sw-KE", domain="*", blind_share=-0.1))
    with pytest.raises(IntegrityError, match="blind_share_range"):
        session.flush()


def test_the_overlap_share_is_set_inherited_and_bounded(session: Session) -> None:
    assert policies.resolve(session, "en-US")["*"].overlap_share == 0.05
    assert change(session, "en-US", overlap_share=1.0) == {"overlap_share": 1.0}
    assert policies.resolve(session, "en-US")["*"].overlap_share == 1.0
    with pytest.raises(ValueError, match=r"overlap_share must lie in \[0, 1\], not 1.1"):
        change(session, "en-US", overlap_share=1.1)
    with pytest.raises(ValueError, match="overlap_share for domain 'music' alone needs a budget of its own"):
        change(session, "en-US", "music", overlap_share=0.1)
    session.add(PolicyRow(locale="sw-KE", domain="*", overlap_share=-0.1))
    with pytest.raises(IntegrityError, match="overlap_share_range"):
        session.flush()
