"""Three people at a Label Studio, in memory and real: they agree, differ, repeat themselves, and skip."""

from __future__ import annotations

from db.repositories import examples
from plugin.label_studio.payloads import DrawnTask
from plugin.records import Hypothesis
from plugin.services import agreement
from tests.integration.agreement.conftest import INSTANCE, Team, accept, reject, volume

ANNA, BEN, CLEO = range(3)


def weather(task: DrawnTask) -> Hypothesis:
    return Hypothesis("weather", "weather_query")


def test_three_people(any_team: Team) -> None:
    team = any_team
    team.begin(6)

    # Anna skips what she is served first: it comes back to her last, and then she rejects it.
    skipped = team.skip(ANNA)
    team.collect()
    reviewed = [team.answer(ANNA) for _ in range(5)]
    assert skipped not in reviewed
    assert team.answer(ANNA, say=reject) == skipped
    assert team.draw(ANNA) is None
    team.collect()
    order = [*reviewed, skipped]
    assert team.states("second") == dict.fromkeys(order, "published")

    # She is served none of them again. Where she answers one all the same, it does not count.
    assert team.draw(ANNA, "second") is None
    first = next(task for task in team.tasks("second") if task.utterance_id == order[0])
    assert first.task_id is not None
    shown = DrawnTask(first.task_id, order[0], "utterance", Hypothesis("music", "music_play"), None)
    team.submit(ANNA, shown)
    team.collect()
    assert team.states("second") == dict.fromkeys(order, "published")
    assert team.draw(ANNA, "second") is None
    assert [(row.reason, row.taken_back_at is not None) for row in team.reworks()] == [
        ("skipped", True),
        ("same person", True),
    ]

    # Ben skips one, agrees on four, differs on one and on the one that Anna rejected.
    assert team.skip(BEN, "second") == order[0]
    team.collect()
    assert [team.answer(BEN, "second") for _ in range(3)] == order[1:4]
    assert team.answer(BEN, "second", volume) == order[4]
    assert team.answer(BEN, "second", accept) == order[5]
    assert team.answer(BEN, "second") == order[0]
    assert team.draw(BEN, "second") is None
    team.collect()
    assert team.states("second") == dict.fromkeys(order, "annotated")
    assert team.states("adjudication") == {order[4]: "published", order[5]: "published"}

    # Cleo decides: for neither of the two, and for Ben.
    drawn = team.draw(CLEO, "adjudication")
    assert drawn is not None
    assert (drawn.utterance_id, drawn.shown) == (order[4], None)
    assert team.answer(CLEO, "adjudication", weather) == order[4]
    assert team.answer(CLEO, "adjudication", lambda _: Hypothesis("music", "music_play")) == order[5]
    team.collect()
    with team.transaction() as session:
        gold = {row.utterance_id: row.domain for row in examples.reviewed(session, team.locale)}
        [found] = agreement.report(session, INSTANCE, team.locale)
    assert gold == {**dict.fromkeys(order, "music"), order[4]: "weather"}
    assert (found["overall"]["pairs"], found["differ"], found["adjudicated"]) == (6, 2, 2)
    upheld = {person: block["upheld"]["value"] for person, block in found["annotators"].items()}
    assert upheld == {team.emails[ANNA]: 0.0, team.emails[BEN]: 0.5}

    # All of it once more changes nothing.
    before = [team.states(kind) for kind in ("review", "second", "adjudication")]
    tasks = [team.admin.get_project(team.project(kind))["task_number"] for kind in ("review", "second", "adjudication")]
    for _ in range(2):
        assert not any(collected.has_news for collected in team.collect())
    assert [team.states(kind) for kind in ("review", "second", "adjudication")] == before
    assert (
        [team.admin.get_project(team.project(kind))["task_number"] for kind in ("review", "second", "adjudication")]
        == tasks
        == [6, 6, 2]
    )
