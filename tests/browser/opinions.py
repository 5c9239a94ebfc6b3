"""An utterance on which two people differ, at a real Label Studio."""

from __future__ import annotations

from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.opinions import both_said, common, opinion_settings, said
from plugin.label_studio.queues import QueueTask, rank_codes, task_json
from plugin.label_studio.screen import LabelSet
from plugin.records import Hypothesis, Slot

LABELS = LabelSet(
    {"audio": ["volume_up"], "music": ["music_play", "music_query"], "weather": ["weather_query"]}, ["artist", "song"]
)
TEXT = "play giant steps by john coltrane"
SONG, ARTIST = Slot(5, 16, "song"), Slot(20, 33, "artist")
ONE = Hypothesis("music", "music_play", (SONG, ARTIST))
OTHER = Hypothesis("music", "music_query", (ARTIST,))
ORDER = "assay-adjudication"


def publish_adjudication(client: SdkLabelStudio, locale: str) -> tuple[int, str]:
    """The project's id and its title."""
    settings = opinion_settings("adjudication", locale, LABELS)
    project_id = client.create_project({**settings, "model_version": ORDER})
    answers = both_said(said(ONE, TEXT), said(OTHER, TEXT))
    task = QueueTask(1, TEXT, common(ONE, OTHER), answers, rank_codes(1)[0])
    client.import_tasks(project_id, [task_json(task, ORDER, LABELS)])
    return project_id, str(settings["title"])
