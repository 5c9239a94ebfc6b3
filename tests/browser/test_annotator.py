"""An annotator's day in a real browser on a real Label Studio: log in, accept, fix, reject, done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
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
LOCALE, DOMAIN = "en-GB", "music"
SONG_KEY = "6"
HEARD = (RIGHT, WRONG, NOISE, URDU, THAI)


@pytest.fixture
def transaction(clean_database_url: str) -> Iterator[TransactionMaker]:
    engine = make_engine(clean_database_url)
    yield transaction_maker(engine)
    engine.dispose()


@pytest.fixture
def client(label_studio_server: LabelStudioServer) -> Iterator[SdkLabelStudio]:
    with closing(SdkLabelStudio(label_studio_server.url, label_studio_server.token)) as client:
        yield client


def test_an_annotator_accepts_fixes_and_rejects(
    transaction: TransactionMaker, client: SdkLabelStudio, label_studio_server: LabelStudioServer, tmp_path: Path
) -> None:
    queue = pool.publish(transaction, client, FakeScorer(VOCABULARY), LOCALE, DOMAIN, HEARD)
    heard = {one.text: one for one in HEARD}
    assert CHROMIUM is not None
    with chromium(CHROMIUM) as browser:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        annotator = Annotator(page, label_studio_server.url)
        annotator.log_in(label_studio_server.annotators(1)[0])
        annotator.open(project_title(LOCALE, DOMAIN))
        for text in queue.texts:
            screen = annotator.see(text)
            assert (screen.domain, screen.intent) == (DOMAIN, heard[text].intent)
            assert sorted(screen.slots) == sorted(heard[text].slots)
            assert screen.reason.startswith("The five models ")
            if text == RIGHT.text:
                page.screenshot(path=tmp_path / "queue.png")  # the README's picture
            answer(annotator, text)
            annotator.submit()
        annotator.see_the_end()

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
    assert (said[WRONG.text].domain, said[WRONG.text].intent) == (DOMAIN, "music_query")
    assert said[WRONG.text].slots == [pool.span(WRONG.text, "blue train", "song")]
    assert (said[NOISE.text].reject_reason, said[NOISE.text].note) == ("not an utterance", "nobody spoke")
    for one in (RIGHT, URDU, THAI):
        assert sorted(said[one.text].slots) == sorted(one.spans())


def answer(annotator: Annotator, text: str) -> None:
    """To accept is to submit; fix by mouse, as most people do; reject with a note."""
    if text == WRONG.text:
        annotator.choose("music_query")
        annotator.press(SONG_KEY)
        annotator.mark("blue train")
    elif text == NOISE.text:
        annotator.press("z")
        annotator.note("nobody spoke")
