"""What an adjudicator sees in a real browser: both answers, and what they have in common."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page

from plugin.label_studio.client import SdkLabelStudio
from plugin.records import Hypothesis
from tests.browser.annotator import Annotator
from tests.browser.opinions import ARTIST, TEXT, publish_adjudication
from tests.servers import LabelStudioServer

pytestmark = [pytest.mark.browser, pytest.mark.label_studio]


def test_both_answers_stand_above_the_utterance_and_what_they_share_is_filled_in(
    client: SdkLabelStudio, label_studio_server: LabelStudioServer, page: Page
) -> None:
    project_id, title = publish_adjudication(client, "en-IE")
    annotator = Annotator(page, label_studio_server.url)
    annotator.log_in(label_studio_server.annotators(1)[0])
    annotator.open(title)
    screen = annotator.see(TEXT)
    assert re.sub("[\u2068\u2069]", "", screen.reason).splitlines() == [
        "Two people differ.",
        "One says: music, music_play; song “giant steps”, artist “john coltrane”",
        "The other says: music, music_query; artist “john coltrane”",
    ]
    assert (screen.domain, screen.intent) == ("music", "")
    assert screen.slots == [("artist", "john coltrane")]
    annotator.be_refused("Please choose an intent.")
    annotator.choose("music_play")
    annotator.submit()
    [state] = client.list_tasks(project_id)
    assert [review.label for review in state.reviews] == [Hypothesis("music", "music_play", (ARTIST,))]
