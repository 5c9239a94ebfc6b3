"""What an adjudicator sees in a real browser: both answers, and what they have in common."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page

from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.opinions import both_said, common, opinion_settings, said
from plugin.label_studio.queues import QueueTask, rank_codes, task_json
from plugin.label_studio.screen import LabelSet
from plugin.records import Hypothesis, Slot
from tests.browser.annotator import Annotator
from tests.servers import LabelStudioServer

pytestmark = [pytest.mark.browser, pytest.mark.label_studio]
LOCALE = "en-IE"
LABELS = LabelSet({"music": ["music_play", "music_query"], "weather": ["weather_query"]}, ["artist", "song"])
TEXT = "play giant steps by john coltrane"
ARTIST, SONG = Slot(20, 33, "artist"), Slot(5, 16, "song")


def test_both_answers_stand_above_the_utterance_and_what_they_share_is_filled_in(
    client: SdkLabelStudio, label_studio_server: LabelStudioServer, page: Page, tmp_path: Path
) -> None:
    one = Hypothesis("music", "music_play", (SONG, ARTIST))
    other = Hypothesis("music", "music_query", (ARTIST,))
    settings = opinion_settings("adjudication", LOCALE, LABELS)
    project_id = client.create_project({**settings, "model_version": "assay-adjudication"})
    task = QueueTask(1, TEXT, common(one, other), both_said(said(one, TEXT), said(other, TEXT)), rank_codes(1)[0])
    client.import_tasks(project_id, [task_json(task, "assay-adjudication", LABELS)])
    annotator = Annotator(page, label_studio_server.url)
    annotator.log_in(label_studio_server.annotators(1)[0])
    annotator.open(settings["title"])
    screen = annotator.see(TEXT)
    page.screenshot(path=tmp_path / "adjudication.png")
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
