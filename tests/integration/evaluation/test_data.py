from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pytest
from sqlalchemy.orm import Session

from db.models import Feature, Score, SelectionFrame, SelectionItemRow, SelectionRow, UtteranceRevision, UtteranceRow
from plugin.records import Slot, TrainingExample
from plugin.services.evaluation import data
from plugin.services.selection import pack_ids
from tests import factories
from tests.integration.evaluation.conftest import LOCALE, World, fill


class Learned(NamedTuple):
    """What the candidate is trained on."""

    examples: list[TrainingExample]
    reviewed: int
    weak: int
    suspected: int
    dropped: int


def candidate(session: Session, weak_domains: dict[str, bool]) -> Learned:
    material = data.read_material(session, LOCALE)
    found = data.everything(session, LOCALE, material, weak_domains)
    rows = [*material.train, *found.reviewed, *found.weak]
    dropped = len(material.dropped) + len(found.dropped)
    examples = [data.to_example(row) for row in rows]
    return Learned(examples, len(found.reviewed), len(found.weak), found.suspected, dropped)


def texts(arm: Learned) -> set[str]:
    return {example.text for example in arm.examples}


def test_the_last_word_on_an_utterance_counts(session: Session, world: World) -> None:
    fill(world)
    changed_mind = world.utterance("rain or not")
    world.annotate(changed_mind, "reject")
    world.annotate(changed_mind, "fix", domain="music", intent="music_play", slots=[[0, 4, "artist"]])
    taken_back = world.utterance("play and forget")
    world.annotate(taken_back, "accept")
    world.annotate(taken_back, "reject")
    world.annotate(world.utterance("play deleted"), withdrawn_at=datetime.now(UTC))

    arm = candidate(session, {"*": False})
    labels = {example.text: example.label for example in arm.examples}
    assert labels["rain or not"].domain == "music"
    assert labels["rain or not"].slots == (Slot(0, 4, "artist"),)
    assert not {"play and forget", "play deleted", "rain rejected", "play unreviewed"} & set(labels)
    assert (arm.reviewed, arm.weak) == (7, 0)


def test_an_annotation_keeps_the_text_that_the_annotator_saw(session: Session, world: World) -> None:
    fill(world)
    row = world.utterance("rain in Nairobi")
    world.annotate(row, slots=[[8, 15, "place"]])
    session.add(
        UtteranceRevision(utterance_id=row.id, revision=1, content_hash=b"x" * 32, content={"text": "rain in Nairobi"})
    )
    row.text, row.revision = "rain", 2
    session.flush()
    found = [example for example in candidate(session, {"*": False}).examples if example.label.slots]
    assert [(example.text, example.label.slots) for example in found] == [("rain in Nairobi", (Slot(8, 15, "place"),))]


def select_for_review(session: Session, rows: list[UtteranceRow], *, superseded: bool = False) -> int:
    """A round that holds all of its frame; the id of its model version."""
    version = factories.champion(session, LOCALE, name=f"fake-{superseded}")
    now = datetime.now(UTC)
    selection = SelectionRow(
        locale=LOCALE,
        model_version_id=version.id,
        policy={},
        frame_watermark=now,
        frame_hash="",
        frame_size=len(rows),
        items_hash="",
        seed=0,
        code_version="test",
        superseded_at=now + timedelta(seconds=1) if superseded else None,
    )
    session.add(selection)
    session.flush()
    for rank, row in enumerate(rows, start=1):
        session.add(
            SelectionItemRow(
                selection_id=selection.id, utterance_id=row.id, revision=1, domain=row.domain or "", rank=rank,
                arms=["strategy"], inclusion_probability=1.0,
            )
        )  # fmt: skip
    frame = np.array(sorted(row.id for row in rows))
    revisions = zlib.compress(np.ones(len(rows), dtype="<i4").tobytes())
    session.add(SelectionFrame(selection_id=selection.id, ids=pack_ids(frame), revisions=revisions))
    session.flush()
    return version.id


def judge(session: Session, version_id: int, row: UtteranceRow, domain: str, confidence: float = 0.9) -> None:
    """What the model has said of the record: that it is of this domain."""
    probs = np.full(len(factories.DOMAINS), (1.0 - confidence) / (len(factories.DOMAINS) - 1), dtype="<f2")
    probs[factories.DOMAINS.index(domain)] = confidence
    key = {"model_version_id": version_id, "utterance_id": row.id, "revision": 1}
    session.add_all(
        [
            Score(
                **key, entropy=0.1, margin=0.8, least_confidence=0.1, el2n_missing="not asked", predicted_domain=domain
            ),
            Feature(**key, domain_probs=probs.tobytes(), intent_probs=b"", slot_mass=b"", embedding=b""),
        ]
    )
    session.flush()


@pytest.mark.parametrize(
    ("weak_domains", "expected"),
    [
        ({"*": False}, set()),
        ({"*": True}, {"play weakly", "rain weakly"}),
        ({"*": False, "music": True}, {"play weakly"}),
        ({"*": True, "music": False}, {"rain weakly"}),
    ],
)
def test_weak_labels_train_where_the_policy_says_so(
    session: Session, world: World, weak_domains: dict[str, bool], expected: set[str]
) -> None:
    fill(world)
    rejected = world.utterance("hush refused")
    world.annotate(rejected, "reject")
    select_for_review(session, [world.utterance("play of an old round")], superseded=True)
    select_for_review(session, [world.utterance("play weakly"), world.utterance("rain weakly"), rejected])
    arm = candidate(session, weak_domains)
    assert {text for text in texts(arm) if "weakly" in text} == expected
    assert arm.weak == len(expected)
    assert not {"hush refused", "play of an old round", "play unreviewed"} & texts(arm)


def weak_pool(session: Session, world: World) -> UtteranceRow:
    """A round of weak labels that the model agrees with, but for the one that is returned."""
    fill(world)
    right = [world.utterance(f"{word} weakly {number}") for word in ("play", "rain") for number in range(6)]
    wrong = world.utterance("play weakly in the morning")
    unsure = world.utterance("rain weakly as well")
    version_id = select_for_review(session, [*right, wrong, unsure])
    for row in right:
        judge(session, version_id, row, row.domain or "")
    judge(session, version_id, wrong, "weather", confidence=0.95)
    judge(session, version_id, unsure, "music", confidence=0.5)
    return wrong


def test_weak_labels_that_are_likely_wrong_do_not_train(session: Session, world: World) -> None:
    wrong = weak_pool(session, world)
    arm = candidate(session, {"*": True})
    weak = {text for text in texts(arm) if "weakly" in text}
    assert wrong.text not in weak
    assert "rain weakly as well" in weak
    assert (arm.weak, arm.suspected, len(weak), arm.dropped) == (13, 1, 13, 0)
    assert candidate(session, {"*": False}).suspected == 0
    assert candidate(session, {"*": False, "weather": True}).suspected == 0


def test_what_people_say_of_a_suspected_record_trains(session: Session, world: World) -> None:
    wrong = weak_pool(session, world)
    world.annotate(wrong, "accept")
    arm = candidate(session, {"*": True})
    assert wrong.text in texts(arm)
    assert (arm.weak, arm.suspected) == (13, 0)


def test_a_record_that_was_revised_to_another_domain_is_not_suspected_for_the_old_one(
    session: Session, world: World
) -> None:
    wrong = weak_pool(session, world)
    session.add(
        UtteranceRevision(
            utterance_id=wrong.id, revision=1, content_hash=b"x" * 32, content={"text": wrong.text, "domain": "music"}
        )
    )
    wrong.domain, wrong.intent, wrong.revision = "weather", "weather_query", 2
    session.flush()
    labels = {example.text: example.label.domain for example in candidate(session, {"*": True}).examples}
    assert labels[wrong.text] == "weather"


def test_gold_that_was_also_reviewed_trains_once_with_its_gold_label(session: Session, world: World) -> None:
    fill(world)
    world.annotate(world.gold("play both", "train"), "fix", domain="weather", intent="weather_query")
    world.annotate(world.gold("play for temperature", "dev"))
    found = [example for example in candidate(session, {"*": False}).examples if example.text == "play both"]
    assert [example.label.domain for example in found] == ["music"]
    assert "play for temperature" not in texts(candidate(session, {"*": False}))


def test_other_locales_stay_out(session: Session, world: World) -> None:
    fill(world)
    world.gold("play abroad", "train", locale="is-IS")
    world.gold("play abroad", "test", locale="is-IS")
    world.annotate(world.utterance("play far abroad", locale="is-IS"))
    arm = candidate(session, {"*": False})
    assert {example.locale for example in arm.examples} == {LOCALE}


def test_no_text_of_any_test_set_trains_whichever_is_asked_for(session: Session, world: World) -> None:
    fill(world)
    world.gold("hush of another set", "rare-words")
    world.annotate(world.utterance("Hush of another SET"))
    world.gold("hush OF another set", "train")
    arm = candidate(session, {"*": False})
    assert not {"Hush of another SET", "hush OF another set"} & texts(arm)
    assert arm.dropped == 2
