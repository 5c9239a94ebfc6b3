"""An annotator's day in a real browser on a real Label Studio: log in, accept, fix, reject, done."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page

from db.session import TransactionMaker
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.queues import project_title
from plugin.label_studio.screen import BLIND
from tests.browser import pool
from tests.browser.annotator import Annotator
from tests.browser.corpus import NOISE, RIGHT, THAI, UNMARKED_THAI, UNMARKED_URDU, URDU, VOCABULARY, WRONG
from tests.fakes.scorer import FakeScorer
from tests.servers import LabelStudioServer

pytestmark = [pytest.mark.browser, pytest.mark.label_studio]
LOCALE, DOMAIN = "en-GB", "music"
ARTIST_KEY, DATE_KEY, SONG_KEY = "4", "5", "6"
HEARD = (RIGHT, WRONG, NOISE, URDU, THAI)


def test_an_annotator_accepts_fixes_and_rejects(
    transaction: TransactionMaker,
    client: SdkLabelStudio,
    label_studio_server: LabelStudioServer,
    page: Page,
    tmp_path: Path,
) -> None:
    queue = pool.publish(transaction, client, FakeScorer(VOCABULARY), LOCALE, DOMAIN, HEARD)
    heard = {one.text: one for one in HEARD}
    annotator = Annotator(page, label_studio_server.url)
    annotator.log_in(label_studio_server.annotators(1)[0])
    annotator.open(project_title(LOCALE, DOMAIN))
    for text in queue.texts:
        screen = annotator.see(text)
        assert (screen.domain, screen.intent) == (DOMAIN, heard[text].intent)
        assert sorted(screen.slots) == sorted(heard[text].slots)
        assert screen.reason.startswith("The five models ")
        page.screenshot(path=tmp_path / "queue.png")
        answer(annotator, text)
        annotator.submit()
    annotator.see_the_end()

    said = pool.collect(transaction, client, queue)
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
        annotator.choose("not an utterance")
        annotator.note("nobody spoke")


@pytest.mark.parametrize(
    ("locale", "one", "key", "label", "words", "direction"),
    [
        ("ur-PK", UNMARKED_URDU, ARTIST_KEY, "artist", "راحت فتح علی خان", "rtl"),
        ("th-TH", UNMARKED_THAI, DATE_KEY, "date", "วันนี้", "ltr"),
    ],
    ids=["right to left", "without spaces"],
)
def test_other_scripts_are_read_and_marked(
    transaction: TransactionMaker,
    client: SdkLabelStudio,
    label_studio_server: LabelStudioServer,
    page: Page,
    locale: str,
    one: pool.Heard,
    key: str,
    label: str,
    words: str,
    direction: str,
) -> None:
    queue = pool.publish(transaction, client, FakeScorer(VOCABULARY), locale, DOMAIN, [one])
    annotator = Annotator(page, label_studio_server.url)
    annotator.log_in(label_studio_server.annotators(1)[0])
    annotator.open(project_title(locale, DOMAIN))
    annotator.see(one.text)
    assert annotator.direction() == direction
    annotator.press(key)
    annotator.mark(words)
    annotator.submit()
    annotator.see_the_end()
    assert pool.collect(transaction, client, queue)[one.text].slots == [pool.span(one.text, words, label)]


def test_a_blind_item_has_nothing_filled_in_and_is_labelled_from_the_beginning(
    transaction: TransactionMaker, client: SdkLabelStudio, label_studio_server: LabelStudioServer, page: Page
) -> None:
    locale = "en-IE"
    queue = pool.publish(transaction, client, FakeScorer(VOCABULARY), locale, DOMAIN, [RIGHT, WRONG], blind=[RIGHT])
    annotator = Annotator(page, label_studio_server.url)
    annotator.log_in(label_studio_server.annotators(1)[0])
    annotator.open(project_title(locale, DOMAIN))
    for text in queue.texts:
        screen = annotator.see(text)
        if text == RIGHT.text:
            assert (screen.reason, screen.domain, screen.intent, screen.slots) == (BLIND, "", "", [])
            annotator.be_refused("Please choose a domain.")
            annotator.press("Shift+W")
            annotator.be_refused("Please choose an intent.")
            annotator.press("2", SONG_KEY)
            annotator.mark("summertime")
            annotator.press("Escape", ARTIST_KEY)
            annotator.mark("ella fitzgerald")
        annotator.submit()
    said = pool.collect(transaction, client, queue)
    assert {text: (row.shown_blind, row.verdict) for text, row in said.items()} == {
        RIGHT.text: (True, "accept"),
        WRONG.text: (False, "accept"),
    }
