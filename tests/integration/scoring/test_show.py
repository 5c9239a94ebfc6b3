"""`assay scoring show`: one utterance's scores, a column for each model version."""

from __future__ import annotations

import pytest
from sqlalchemy.orm import Session

from plugin.cli import scoring as cli
from plugin.cli.errors import CliError
from tasks import scoring as celery_tasks
from tests import factories
from tests.integration.scoring.conftest import FakeWiring


def test_scores_are_rows_and_fit_the_screen(
    session: Session, wiring: FakeWiring, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "get_wiring", lambda: wiring)
    [row] = factories.utterances(session, 1, domain_scores={"music": 0.5, "weather": 0.5})
    version = factories.champion(session)
    celery_tasks.score_batch(row.id, row.id)
    cli.show(row.external_id)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert any(version.name in line for line in lines)
    [entropy] = [line for line in lines if line[0] == "entropy"]
    assert len(entropy) == 3
    assert "0.6931" in entropy  # ln 2, of the record's own two equal scores
    with pytest.raises(CliError, match="no utterance has the id 'nobody'"):
        cli.show("nobody")
