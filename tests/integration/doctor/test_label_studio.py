"""Faults of Label Studio itself and of our way to it: fake and, in the full suite, real."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from db.repositories import polls
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.payloads import ServerFacts
from plugin.label_studio.queues import BY_IMPORT
from plugin.services.doctor import Finding
from plugin.services.doctor import label_studio as checks
from plugin.services.queues import Webhook
from plugin.services.serving import NOT_AS_IMPORTED, Trial
from plugin.settings import SettingsError
from tests.fakes.surroundings import SQLITE
from tests.integration.doctor.conftest import SECRET, Clinic, token
from tests.label_studio_hands import answering, serving

NEEDS_LABEL_STUDIO = {
    *("version", "Label Studio's settings", "clocks", "serving order", "address of webhooks", "arrival of webhooks"),
    "queues",
}


def only(findings: list[Finding], name: str) -> Finding:
    assert [finding.name for finding in findings] == [name]
    return findings[0]


def test_nobody_listening_is_one_finding_and_the_rest_is_checked(fake_clinic: Clinic) -> None:
    client = SdkLabelStudio("http://127.0.0.1:9", token(days=365))
    report = fake_clinic.report(connect=lambda: client, url="http://127.0.0.1:9")
    client.close()
    finding = only(report.findings, "label-studio-unreachable")
    assert "http://127.0.0.1:9 does not serve us" in finding.what
    assert set(report.left_out) == NEEDS_LABEL_STUDIO
    assert {"database", "migrations", "broker", "workers", "beat", "order of reviews"} <= set(report.done)


def test_an_address_where_something_else_answers_is_told(fake_clinic: Clinic) -> None:
    with answering() as url:
        client = SdkLabelStudio(url, "a" * 40)
        finding = only(fake_clinic.findings(connect=lambda: client, url=url), "label-studio-unreachable")
        client.close()
    assert "what came is not Label Studio's" in finding.what


def test_no_address_is_told(fake_clinic: Clinic) -> None:
    def connect() -> SdkLabelStudio:
        raise SettingsError("ASSAY_LABEL_STUDIO_TOKEN is not set")

    finding = only(fake_clinic.findings(connect=connect), "label-studio-unreachable")
    assert finding.what == "ASSAY_LABEL_STUDIO_TOKEN is not set"


def test_a_refused_token_is_dead(fake_clinic: Clinic) -> None:
    assert fake_clinic.server is not None
    fake_clinic.server.refuses = True
    report = fake_clinic.report()
    finding = only(report.findings, "token-dead")
    assert finding.what == "Label Studio refuses our access token (status 401)."
    assert set(report.left_out) == NEEDS_LABEL_STUDIO
    fake_clinic.server.refuses = False


def test_a_refused_legacy_token_is_called_so(fake_clinic: Clinic) -> None:
    assert fake_clinic.server is not None
    fake_clinic.server.refuses = True
    assert "legacy token" in only(fake_clinic.findings(token="a" * 40), "token-dead").what
    fake_clinic.server.refuses = False


def test_a_legacy_token_that_works_is_told(clinic: Clinic) -> None:
    only(clinic.findings(token="a" * 40), "token-legacy")


@pytest.mark.parametrize(("days", "names"), [(13, ["token-expires"]), (15, [])])
def test_a_token_that_expires_soon_is_told(fake_clinic: Clinic, days: int, names: list[str]) -> None:
    assert fake_clinic.names(token=token(days)) == names


@pytest.mark.parametrize("version", ["1.19.0", "1.24.0", "2.0.0rc1"])
def test_a_version_that_was_not_tested_is_told(fake_clinic: Clinic, version: str) -> None:
    assert fake_clinic.server is not None
    fake_clinic.server.version = version
    assert only(fake_clinic.findings(), "version-untested").what.startswith(f"This is Label Studio {version}; tested")


def test_the_version_is_the_one_that_runs(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "NEWEST_TESTED", "1.0.0")
    assert clinic.site.admin.version() in only(clinic.findings(), "version-untested").what


def test_sqlite_is_told_to_a_superuser_by_the_settings(fake_clinic: Clinic) -> None:
    assert fake_clinic.server is not None
    fake_clinic.server.engine = SQLITE
    assert "says" in only(fake_clinic.findings(), "label-studio-on-sqlite").what


def test_sqlite_is_told_to_others_by_the_way_it_sorts(fake_clinic: Clinic) -> None:
    assert fake_clinic.server is not None
    fake_clinic.server.engine, fake_clinic.server.superuser = SQLITE, "somebody@example.org"
    assert "sorts" in only(fake_clinic.findings(), "label-studio-on-sqlite").what


def test_locks_that_last_longer_than_ours_are_told(clinic: Clinic) -> None:
    finding = only(clinic.findings(lock_ttl_s=600.0), "locks-outlive-ours")
    assert finding.what == "Its locks last 60 minutes; Assay takes them to last 10 minutes."


@pytest.mark.parametrize("ahead", [timedelta(minutes=3), -timedelta(minutes=3)])
def test_a_skewed_clock_is_told(clinic: Clinic, monkeypatch: pytest.MonkeyPatch, ahead: timedelta) -> None:
    """The database's, against which those of Label Studio and of this host are held."""
    skewed = SimpleNamespace(clock=lambda session: polls.clock(session) + ahead)
    monkeypatch.setattr(checks, "polls", skewed)
    found = clinic.findings()
    assert [finding.name for finding in found] == ["clock-skew", "clock-skew"]
    way = "behind" if ahead > timedelta(0) else "ahead of"
    assert found[0].what.startswith("Label Studio's clock is ")
    assert all(way in finding.what for finding in found)


def test_a_label_studio_whose_clock_is_ahead_is_told(fake_clinic: Clinic) -> None:
    assert fake_clinic.server is not None
    fake_clinic.server.clock_is_ahead = timedelta(minutes=5)
    assert (
        only(fake_clinic.findings(), "clock-skew").what == "Label Studio's clock is 5 minutes ahead of the database's."
    )


def test_a_label_studio_that_ignores_scores_is_told(fake_clinic: Clinic) -> None:
    assert fake_clinic.server is not None
    fake_clinic.server.ignores_scores = True
    finding = only(fake_clinic.findings(), "serving-fallback")
    assert "because" in finding.what
    assert fake_clinic.wiring.sampling() == BY_IMPORT  # the doctor's trial is remembered


def test_one_that_serves_in_no_order_at_all_is_told(fake_clinic: Clinic) -> None:
    trial = Trial("9.9.9", BY_IMPORT, ("nothing is in order", NOT_AS_IMPORTED), on_sqlite=False)
    only(fake_clinic.findings(trial=lambda: trial), "order-not-kept")


# Webhooks


def test_without_an_address_for_webhooks_that_is_told(fake_clinic: Clinic) -> None:
    report = fake_clinic.report(webhook=None)
    only(report.findings, "webhook-unset")
    assert set(report.left_out) == {"arrival of webhooks"}


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("10.1.2.3", "webhook-refused"),
        ("web", "webhook-host-one-label"),
        ("web.assay.invalid", "webhook-host-unresolved"),
    ],
)
def test_an_address_that_label_studio_refuses_is_told_and_no_hook_is_left(clinic: Clinic, host: str, name: str) -> None:
    url = f"http://{host}:8040/webhooks/label-studio"
    report = clinic.report(webhook=Webhook(url, SECRET))
    assert {finding.name for finding in report.findings} == {name, "webhook-missing"}
    assert url in report.findings[0].what
    assert clinic.site.admin.find_project("Assay · trial of webhooks", "assay-trial-of-webhooks") is None
    assert url not in [hook.url for hook in clinic.site.admin.webhooks(clinic.project_id)]


@pytest.mark.parametrize("fault", ["nobody listens", "another secret"])
def test_a_webhook_that_does_not_arrive_is_told(clinic: Clinic, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr("plugin.services.doctor.webhooks.ARRIVAL_SECONDS", 1.0)
    wanted = clinic.wiring.webhook
    assert wanted is not None
    if fault == "another secret":
        wrong = replace(wanted, secret="the wrong secret")
    else:
        with serving(lambda *_: None) as url:
            wrong = replace(wanted, url=f"{url}/webhooks/label-studio")
    findings = clinic.findings(webhook=wrong)
    assert "webhook-lost" in [finding.name for finding in findings]
    assert all(finding.name.startswith("webhook-") for finding in findings)


# Whatever happens in a check stays there.


def test_a_check_that_breaks_off_is_a_finding_and_the_others_go_on(
    fake_clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("postgresql://user:password@host")

    monkeypatch.setattr(fake_clinic.site.admin, "clock", fail)
    report = fake_clinic.report()
    finding = only(report.findings, "check-failed")
    assert finding.what == "The check of clocks broke off: RuntimeError."
    assert "queues" in report.done
    with pytest.raises(RuntimeError):
        checks_with_debug(fake_clinic)


def checks_with_debug(clinic: Clinic) -> None:
    from plugin.services.doctor import examine

    examine(clinic.patient(), reraise=True)


def test_label_studio_going_away_in_the_middle_crashes_nothing(
    fake_clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave() -> ServerFacts:
        raise LabelStudioError("settings", None, "ReadTimeout")

    monkeypatch.setattr(fake_clinic.site.admin, "server_facts", leave)
    finding = only(fake_clinic.findings(), "check-failed")
    assert "ReadTimeout" in finding.what


def test_tokens_are_read_without_a_library() -> None:
    assert checks._expiry(token(days=1)) is not None
    for odd in ("", "a.b.c", "e30.e30.x", "a" * 40, "é.é.é", "e30.W10.x"):
        assert checks._expiry(odd) is None
    assert datetime.now(UTC) < (checks._expiry(token(days=1)) or datetime.min.replace(tzinfo=UTC))
