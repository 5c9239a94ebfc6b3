"""An annotator's day in a real browser on a real Label Studio: log in, accept, fix, reject, done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from db.models import AnnotationRow
from db.session import TransactionMaker, make_engine, transaction_maker
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.queues import project_title
from plugin.services.ingest import reconcile
from tests.browser import pool
from tests.browser.annotator import HEIGHT, WIDTH, Annotator, chromium, find_chromium
from tests.browser.corpus import NOISE, RIGHT, THAI, URDU, VOCABULARY, WRONG
from tests.fakes.scorer import FakeScorer
from tests.servers import LabelStudioServer

CHROMIUM = find_chromium()
pytestmark = [
    pytest.mark.browser,
    pytest.mark.label_studio,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: install chromium to run the browser tests"),
]
LOCALE, DOMAIN = "xx-BROWSER", "music"
HEARD = (RIGHT, WRONG, NOISE, URDU, THAI)


@pytest.fixture
def transaction(clean_database_url: str) -> Iterator[TransactionMaker]:
    engine = make_engine(clean_database_url)
    yield transaction_maker(engine)
    engine.dispose()


def test_an_annotator_accepts_fixes_and_rejects(
    transaction: TransactionMaker, label_studio_server: LabelStudioServer, tmp_path: Path
) -> None:
    server = label_studio_server
    client = SdkLabelStudio(server.url, server.token)
    queue = pool.publish(transaction, client, FakeScorer(VOCABULARY), LOCALE, DOMAIN, HEARD)
    heard = {one.text: one for one in HEARD}
    assert CHROMIUM is not None
    with chromium(CHROMIUM) as browser:
        annotator = Annotator(browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}), server.url)
        annotator.log_in(server.annotators(1)[0])
        annotator.open(project_title(LOCALE, DOMAIN))
        for text in queue.texts:
            screen = annotator.see(text)
            assert (screen.domain, screen.intent) == (DOMAIN, heard[text].intent)
            assert sorted(screen.slots) == sorted(heard[text].slots)
            assert "The assistant understood music" in screen.reason
            if text == RIGHT.text:
                annotator.page.screenshot(path=tmp_path / "queue.png")
            answer(annotator, text)
            annotator.submit()
        assert annotator.has_finished()

    reconcile(transaction, client, pool.INSTANCE, queue.project_id, overlap=timedelta(minutes=5), force=True)
    with transaction() as session:
        rows = session.scalars(select(AnnotationRow).where(AnnotationRow.annotation_id.is_not(None))).all()
    texts = {id_: text for text, id_ in queue.utterance_ids.items()}
    said = {texts[row.utterance_id]: row for row in rows}
    assert {text: row.verdict for text, row in said.items()} == {
        RIGHT.text: "accept",
        URDU.text: "accept",
        THAI.text: "accept",
        WRONG.text: "fix",
        NOISE.text: "reject",
    }
    assert (said[WRONG.text].domain, said[WRONG.text].intent) == ("music", "music_query")
    for one in (RIGHT, URDU, THAI):
        assert sorted(said[one.text].slots) == sorted(one.spans())


def answer(annotator: Annotator, text: str) -> None:
    """Accept and reject by one key; fix what is wrong by mouse, as most people do."""
    if text == WRONG.text:
        annotator.page.get_by_text("music_query", exact=True).locator("visible=true").first.click()
        annotator.press("2")
    elif text == NOISE.text:
        annotator.press("3")
    else:
        annotator.press("1")
