from __future__ import annotations

from pathlib import Path

import pytest

from plugin.settings import STACK_FILE, SettingsError, load_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ASSAY_DATABASE_URL", "garbage"),
        ("ASSAY_DATABASE_URL", ""),
        ("ASSAY_DATABASE_URL", "mysql://assay:hunter2@db/assay"),
        ("ASSAY_DATABASE_URL", "postgresql://assay:hunter2@db:port/assay"),
        ("ASSAY_BROKER_URL", "garbage"),
        ("ASSAY_BROKER_URL", ""),
        ("ASSAY_BROKER_URL", "foo://assay:hunter2@broker"),
        ("ASSAY_BROKER_URL", "redis://:hunter2@broker:port/0"),
        ("ASSAY_BROKER_URL", "redis://first;foo://:hunter2@second"),
    ],
)
def test_a_url_that_cannot_be_used_stops_at_start_and_tells_no_password(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: must be like ") as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["ASSAY_SNAPSHOTS", "ASSAY_DROPOUT_PASSES"])
def test_one_snapshot_or_pass_alone_stops_at_start(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(SettingsError, match=f"^{name}: must be 0, for none, or at least 2"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ASSAY_DATABASE_URL", "postgres://assay:secret@db/assay"),
        ("ASSAY_DATABASE_URL", "postgresql+psycopg://assay@/assay?host=/var/run"),
        ("ASSAY_BROKER_URL", "redis://:secret@broker:6379/0"),
        ("ASSAY_BROKER_URL", "rediss://broker"),
        ("ASSAY_BROKER_URL", "redis+socket:///var/run/redis.sock"),
        ("ASSAY_BROKER_URL", "amqp://guest:guest@broker//;amqps://second//"),
    ],
)
def test_urls_of_what_is_supported_are_taken_as_they_are(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    settings = load_settings().model_dump()
    assert settings[name.removeprefix("ASSAY_").lower()].get_secret_value() == value


def test_a_stack_file_that_is_not_text_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / STACK_FILE).write_bytes(b"ASSAY_WEB_HOST=\xff\n")
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    with pytest.raises(SettingsError, match=rf"^{tmp_path}/stack.env cannot be read: 'utf-8'"):
        load_settings()


WEBHOOK = {
    "ASSAY_ALARM_WEBHOOK_URL": "https://alarms.example.org/assay?key=hunter2",
    "ASSAY_ALARM_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ASSAY_ALARM_WEBHOOK_URL": "alarms.example.org/hunter2"}, "^ASSAY_ALARM_WEBHOOK_URL: must be like https://"),
        ({"ASSAY_ALARM_WEBHOOK_URL": "ftp://hunter2@alarms"}, "^ASSAY_ALARM_WEBHOOK_URL: must be like https://"),
        ({"ASSAY_ALARM_WEBHOOK_SECRET": "whsec_hunter2"}, "^ASSAY_ALARM_WEBHOOK_SECRET: must be whsec_ and the base64"),
        ({"ASSAY_ALARM_WEBHOOK_SECRET": "whsec_aHVudGVyMg=="}, "^ASSAY_ALARM_WEBHOOK_SECRET: must be whsec_"),
        ({"ASSAY_ALARM_WEBHOOK_SECRET": None}, "^ASSAY_ALARM_WEBHOOK_URL needs ASSAY_ALARM_WEBHOOK_SECRET"),
    ],
)
def test_a_webhook_that_cannot_be_signed_or_reached_stops_at_start(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str | None], said: str
) -> None:
    for name, value in {**WEBHOOK, **changed}.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)
    assert "aHVudGVyMg" not in str(caught.value)


def test_a_webhook_for_alarms_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in WEBHOOK.items():
        monkeypatch.setenv(name, value)
    assert "hunter2" not in repr(load_settings())
