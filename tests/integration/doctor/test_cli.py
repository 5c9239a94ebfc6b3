"""`assay label-studio doctor` as people and programs use it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from plugin.cli import doctor as command
from plugin.cli.main import app
from plugin.services.doctor import CHECKS, KINDS
from tests.integration.doctor.conftest import Clinic
from tests.servers import CHECKOUT

DOCUMENT = CHECKOUT / "docs" / "doctor.md"


@pytest.fixture
def doctor(fake_clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    """The command, sent to the clinic."""
    monkeypatch.setattr(command, "patient_of", lambda _: fake_clinic.patient())
    return fake_clinic


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["label-studio", "doctor", *arguments])


def test_a_healthy_assay_is_one_line_and_exit_code_0(doctor: Clinic) -> None:
    done = run()
    assert done.exit_code == 0
    assert done.output.strip() == f"healthy: {len(CHECKS)} checks found nothing"


def test_a_finding_says_what_why_and_how_to_mend_it_and_exits_with_1(doctor: Clinic) -> None:
    doctor.site.admin.update_project(doctor.project_id, sampling="Uniform sampling")
    done = run()
    assert done.exit_code == 1
    words = " ".join(done.output.split())
    assert words.startswith("error sampling-changed what is-IS ")
    assert "sampling is 'Uniform sampling', not 'Uncertainty sampling'." in words
    assert "why Tasks are not served in the planned order. mend `assay label-studio doctor --mend`" in words
    assert words.endswith("1 error; `assay label-studio doctor --mend` mends 1 of them")


def test_json_is_for_programs(doctor: Clinic) -> None:
    healthy = json.loads(run("--json").output)
    assert healthy == {"healthy": True, "findings": [], "checked": [check.name for check in CHECKS], "left_out": []}
    doctor.site.hands.drop_tabs(doctor.project_id)
    done = run("--json")
    assert done.exit_code == 1
    [finding] = json.loads(done.output)["findings"]
    assert finding.pop("what").startswith(f"The project of is-IS {doctor.queue.domain} lacks the tabs")
    kind = KINDS["tabs-missing"]
    assert finding == {
        "finding": "tabs-missing",
        "severity": "warning",
        "why": kind.why,
        "mend": kind.mend,
        "can_be_mended": True,
    }


def test_mend_puts_right_what_it_can_looks_again_and_leaves_the_rest(doctor: Clinic) -> None:
    doctor.site.admin.update_project(doctor.project_id, sampling="Uniform sampling")
    doctor.site.hands.connect_ml_backend(doctor.project_id, "helper")
    done = run("--mend")
    assert done.exit_code == 1
    assert "mended sampling-changed" in done.output
    assert "ml-backend" in done.output.split("mended sampling-changed")[1]
    assert doctor.names() == ["ml-backend"]
    assert run("--mend").exit_code == 1


def test_mend_ends_with_0_when_nothing_is_left(doctor: Clinic) -> None:
    doctor.site.hands.change_webhooks(doctor.project_id, is_active=False)
    done = run("--mend", "--json")
    assert done.exit_code == 0
    assert json.loads(done.output)["healthy"] is True


def test_a_mend_that_fails_is_told(doctor: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(queue_id: int) -> object:
        raise LookupError(f"queue {queue_id} is gone too")

    patient = replace(doctor.patient(), publish=refuse)
    monkeypatch.setattr(command, "patient_of", lambda _: patient)
    doctor.site.hands.delete_project(doctor.project_id)
    done = run("--mend")
    assert done.exit_code == 1
    assert f"not mended project-gone: queue {doctor.queue.id} is gone too" in " ".join(done.output.split())


def test_every_kind_of_finding_is_in_the_documentation_word_for_word() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    told = {row.split("`")[1]: row for row in rows}
    assert set(told) == set(KINDS)
    for name, kind in KINDS.items():
        assert told[name] == f"| `{name}` | {kind.severity} | {kind.why} | {kind.mend} |"


def test_without_anything_set_up_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from plugin.settings import get_settings

    monkeypatch.setenv("ASSAY_HOME", str(tmp_path))
    get_settings.cache_clear()
    done = run("--json")
    get_settings.cache_clear()
    assert done.exit_code == 1
    assert [finding["finding"] for finding in json.loads(done.output)["findings"]] == [
        "database-unreachable",
        "broker-down",
        "label-studio-unreachable",
    ]
