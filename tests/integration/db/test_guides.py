"""Which examples annotators are shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from db.models import AnnotationRow
from db.repositories import guides
from tests import factories

NOW = datetime.now(UTC)
SHOWN = ("pool", "train")


def annotate(
    session: Session, text: str, intent: str | None, slots: list[list[Any]] | None = None, **changed: Any
) -> None:
    of_utterance = {"partition": changed.pop("partition", "pool"), "locale": changed.pop("locale", "en-US")}
    row = factories.utterances(session, 1, external_id=f"{text} {of_utterance} {changed}", text=text, **of_utterance)[0]
    values: dict[str, Any] = {
        "utterance_id": row.id, "revision": 1, "instance": "file", "verdict": "accept", "domain": "music",
        "intent": intent, "slots": slots or [], "annotator": "ann", "created_at": NOW, "updated_at": NOW, **changed,
    }  # fmt: skip
    session.add(AnnotationRow(**values))
    session.flush()


def test_the_first_few_texts_of_each_intent(session: Session) -> None:
    for number in range(5):
        annotate(session, f"play {number}", "play")
    annotate(session, "stop", "stop", partition="train")
    annotate(session, "play 0", "play", partition="train")  # the same words are one example
    hiding: list[dict[str, Any]] = [
        {"partition": "test"}, {"locale": "de-DE"}, {"domain": "audio"}, {"withdrawn_at": NOW}, {"revision": 2},
        {"verdict": "reject", "domain": None, "intent": None},
    ]  # fmt: skip
    for hidden in hiding:
        annotate(session, f"hidden {hidden}", **{"intent": "stop", **hidden})
    found = guides.utterances_of_intents(session, "en-US", "music", SHOWN, 3)
    assert found == {"play": ["play 0", "play 1", "play 2"], "stop": ["stop"]}


def test_the_words_of_each_slot_are_counted_in_characters(session: Session) -> None:
    annotate(session, "🎉🎶 who wrote blue train", "ask", [[13, 23, "song"]])
    annotate(session, "เปิดเพลงของบอดี้สแลมวันนี้", "play", [[20, 26, "date"]])
    annotate(session, "play blue train by ella", "play", [[5, 15, "song"], [19, 23, "artist"]])
    annotate(session, "play kind of blue", "play", [[5, 17, "song"]])
    found = guides.values_of_slots(session, "en-US", "music", SHOWN, 3)
    assert found == {"artist": ["ella"], "date": ["วันนี้"], "song": ["blue train", "kind of blue"]}
