"""A whole queue without a mouse. Only marking the words of a new slot needs one: Label Studio knows no key for it."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import Page

from db.session import TransactionMaker
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.queues import project_title
from plugin.stack import accounts
from tests.browser import pool
from tests.browser.annotator import Annotator
from tests.browser.corpus import VOCABULARY
from tests.browser.pool import Heard
from tests.fakes.scorer import FakeScorer
from tests.servers import LabelStudioServer

pytestmark = [pytest.mark.browser, pytest.mark.label_studio]
DOMAIN = "music"
WEATHER_KEY, ARTIST_KEY = "Shift+E", "4"

RIGHT = Heard("play summertime", "music_play", [("song", "summertime")])
OTHER_INTENT = Heard("who wrote blue train", "music_play", [("song", "blue train")])
OTHER_DOMAIN = Heard("will it rain on sunday", "music_query")
OTHER_SLOT = Heard("play ella fitzgerald", "music_play", [("song", "ella fitzgerald")])
NO_SLOT = Heard("play it again", "music_play", [("song", "it"), ("date", "again")])
FOREIGN = Heard("quiero escuchar algo", "music_play")
STRANGE = Heard("two at once", "music_play")
SECOND_THOUGHT = Heard("like this one", "music_likeness")
HEARD = (RIGHT, OTHER_INTENT, OTHER_DOMAIN, OTHER_SLOT, NO_SLOT, FOREIGN, STRANGE, SECOND_THOUGHT)


def answer(annotator: Annotator, one: Heard) -> None:
    if one is OTHER_INTENT:
        annotator.press("3")
    elif one is OTHER_DOMAIN:
        annotator.press(WEATHER_KEY)
        annotator.press(annotator.key_of("weather_query"))
    elif one is OTHER_SLOT:
        annotator.press("Alt+.", ARTIST_KEY)
    elif one is NO_SLOT:
        annotator.press("Alt+.", "Backspace", "Alt+.", "Backspace")
    elif one is FOREIGN:
        annotator.press("x")
        assert annotator.rejected() == "other language"
    elif one is STRANGE:
        annotator.press("b")
        annotator.be_refused("Please say why.")
        annotator.note("two people speak", field="Why?")
    elif one is SECOND_THOUGHT:
        annotator.press("c", "c")  # the second press takes it back


def test_everything_but_marking_is_done_by_keys(
    transaction: TransactionMaker, client: SdkLabelStudio, label_studio_server: LabelStudioServer, page: Page
) -> None:
    locale = "en-AU"
    queue = pool.publish(transaction, client, FakeScorer(VOCABULARY), locale, DOMAIN, HEARD)
    heard = {one.text: one for one in HEARD}
    annotator = Annotator(page, label_studio_server.url)
    annotator.log_in(label_studio_server.annotators(1)[0])
    annotator.open(project_title(locale, DOMAIN))
    before = annotator.clicks()
    for text in queue.texts:
        annotator.see(text)
        answer(annotator, heard[text])
        annotator.submit()
    annotator.see_the_end()
    assert annotator.clicks() == before

    said = pool.collect(transaction, client, queue)
    labels = {text: (row.verdict, row.domain, row.intent, row.slots) for text, row in said.items()}
    assert labels == {
        RIGHT.text: ("accept", "music", "music_play", RIGHT.spans()),
        OTHER_INTENT.text: ("fix", "music", "music_query", OTHER_INTENT.spans()),
        OTHER_DOMAIN.text: ("fix", "weather", "weather_query", []),
        OTHER_SLOT.text: ("fix", "music", "music_play", [pool.span(OTHER_SLOT.text, "ella fitzgerald", "artist")]),
        NO_SLOT.text: ("fix", "music", "music_play", []),
        FOREIGN.text: ("reject", None, None, []),
        STRANGE.text: ("reject", None, None, []),
        SECOND_THOUGHT.text: ("accept", "music", "music_likeness", []),
    }
    assert (said[FOREIGN.text].reject_reason, said[FOREIGN.text].note) == ("other language", "")
    assert (said[STRANGE.text].reject_reason, said[STRANGE.text].note) == ("other", "two people speak")


def test_a_person_may_have_one_plain_key_to_submit(
    transaction: TransactionMaker, client: SdkLabelStudio, label_studio_server: LabelStudioServer, page: Page
) -> None:
    """Label Studio's own setting of the person, in *My Account*, *Hotkeys*: docs/annotators.md."""
    locale = "en-NZ"
    queue = pool.publish(transaction, client, FakeScorer(VOCABULARY), locale, DOMAIN, [RIGHT, OTHER_INTENT])
    person = label_studio_server.sign_up("one-key@example.org")
    access = accounts.access_token(label_studio_server.url, person.token)
    httpx.patch(
        f"{label_studio_server.url}/api/current-user/hotkeys/",
        json={"custom_hotkeys": {"annotation:annotation:submit": {"key": ".", "active": True}}},
        headers={"Authorization": f"Bearer {access}"},
    ).raise_for_status()
    annotator = Annotator(page, label_studio_server.url)
    annotator.log_in(person)
    annotator.open(project_title(locale, DOMAIN))
    for text in queue.texts:
        annotator.see(text)
        annotator.submit(".")
    annotator.see_the_end()
    assert {row.verdict for row in pool.collect(transaction, client, queue).values()} == {"accept"}
