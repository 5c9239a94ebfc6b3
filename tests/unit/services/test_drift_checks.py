"""What is alarming: each kind, and nothing where nothing has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from db.repositories.drift import Arrival, Reviewed
from plugin.services.drift.checks import ALARM, OK, TOO_FEW, Limits, Material, Seen, examine

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LIMITS = Limits()
DOMAINS = ("music", "weather", "alarm")
KINDS = ["domains", "scores", "nlu_scores", "ranking", "accepts", "annotators", "calibration"]


def arrivals(
    rng: np.random.Generator, count: int, *, moved: float = 0.0, nlu: float = 0.0, music: float = 0.5
) -> list[Arrival]:
    rest = (1.0 - music) / 2.0
    domains = rng.choice(DOMAINS, count, p=[music, rest, rest])
    entropy, scores = rng.gamma(2.0, 0.2, count) + moved, rng.beta(5.0, 2.0, count) * (1.0 - nlu)
    return [Arrival(str(d), float(s), float(e)) for d, s, e in zip(domains, scores, entropy, strict=True)]


def reviews(
    rng: np.random.Generator, count: int, *, wrong: float = 0.2, gap: float = 0.5, boast: float = 0.0,
    annotators: Sequence[str] = ("ann", "bob", "cid"),
) -> list[Reviewed]:  # fmt: skip
    found = []
    for number in range(count):
        is_wrong = bool(rng.random() < wrong)
        sure = float(rng.uniform(0.6, 1.0))
        domain = str(rng.choice(DOMAINS))
        right = rng.random() < sure - boast
        found.append(
            Reviewed(
                at=NOW, annotator=annotators[number % len(annotators)], verdict="fix" if is_wrong else "accept",
                shown_blind=False, is_control=True, asked_domain=domain, said_domain=domain,
                predicted_domain=domain if right else "other", least_confidence=1.0 - sure,
                score=float(rng.normal() + gap * 3 * is_wrong),
            )
        )  # fmt: skip
    return found


def material(seed: int = 0) -> Material:
    rng = np.random.default_rng(seed)
    return Material(
        "en-US", "entropy", 1, (arrivals(rng, 4000), arrivals(rng, 1500)), (reviews(rng, 1000), reviews(rng, 600))
    )


def states(found: Sequence[Seen]) -> dict[tuple[str, str], str]:
    return {(one.kind, one.domain): one.state for one in found}


def alarming(found: Sequence[Seen]) -> set[tuple[str, str]]:
    return {key for key, state in states(found).items() if state == ALARM}


def test_nothing_alarms_where_nothing_has_changed() -> None:
    alarms = [alarming(examine(material(seed), LIMITS)) for seed in range(25)]
    assert alarms == [set()] * 25
    assert set(states(examine(material(), LIMITS)).values()) <= {OK, TOO_FEW}


def test_every_kind_is_looked_at_and_says_something_of_it() -> None:
    found = examine(material(), LIMITS)
    assert list(dict.fromkeys(one.kind for one in found)) == KINDS
    assert ("scores", "music") in states(found)  # a domain with enough of its own
    assert ("scores", "weather") not in states(found)
    for one in found:
        assert one.sentence.endswith(("now", "of one annotator"))
        assert 0.0 <= one.p <= 1.0
        assert one.value is not None
        assert one.value >= 0.0


def test_a_shift_of_scores_in_one_domain_is_its_own_alarm() -> None:
    before, now = material().arrivals
    moved = [row._replace(score=(row.score or 0.0) + 0.3) if row.domain == "music" else row for row in now]
    found = alarming(examine(replace(material(), arrivals=(before, moved)), LIMITS))
    assert ("scores", "music") in found
    assert {kind for kind, _ in found} == {"scores"}


def test_production_that_grows_unsure_is_seen_in_its_own_scores() -> None:
    now = arrivals(np.random.default_rng(1), 1500, nlu=0.4)
    found = examine(replace(material(), arrivals=(material().arrivals[0], now)), LIMITS)
    assert {kind for kind, _ in alarming(found)} == {"nlu_scores"}
    [whole] = [one for one in found if (one.kind, one.domain) == ("nlu_scores", "*")]
    assert whole.details["medians"][1] < whole.details["medians"][0]


def test_another_mix_of_domains_says_which() -> None:
    now = arrivals(np.random.default_rng(1), 1500, music=0.05)
    found = examine(replace(material(), arrivals=(material().arrivals[0], now)), LIMITS)
    assert ("domains", "*") in alarming(found)
    [seen] = [one for one in found if one.kind == "domains"]
    assert seen.details["moved"][0]["domain"] == "music"
    assert "music 51% -> 5%" in seen.sentence


def test_scores_that_no_longer_find_errors() -> None:
    now = reviews(np.random.default_rng(1), 600, gap=0.0)
    changed = replace(material(), reviews=(material().reviews[0], now))
    assert alarming(examine(changed, LIMITS)) == {("ranking", "*")}
    # The other way round they have become better, which is no alarm; and low scores may be the hard ones.
    assert alarming(examine(replace(changed, reviews=(now, material().reviews[0])), LIMITS)) == set()
    low = [[row._replace(score=-(row.score or 0.0)) for row in side] for side in material().reviews]
    assert alarming(examine(replace(material(), sign=-1, reviews=(low[0], low[1])), LIMITS)) == set()


def test_fewer_accepts_of_control_items() -> None:
    now = reviews(np.random.default_rng(1), 600, wrong=0.5)
    changed = replace(material(), reviews=(material().reviews[0], now))
    assert alarming(examine(changed, LIMITS)) == {("accepts", "*")}
    # Of what strategies have chosen, which is harder, nothing is told.
    by_strategy = [row._replace(is_control=False) for row in now]
    assert alarming(examine(replace(changed, reviews=(changed.reviews[0], by_strategy)), LIMITS)) == set()


def test_an_annotator_who_accepts_everything_and_none_for_a_harder_domain() -> None:
    rng = np.random.default_rng(1)
    lax = reviews(rng, 500, wrong=0.4) + reviews(rng, 200, wrong=0.0, annotators=("lax",))
    [seen] = [one for one in examine(replace(material(), reviews=(lax, lax)), LIMITS) if one.kind == "annotators"]
    assert seen.state == ALARM
    assert seen.sentence.startswith("lax accepts +39% against the others in the same domains; 500 reviews of theirs")
    assert [one["annotator"] for one in seen.details["annotators"]] == ["lax"]
    # Whoever reviews a hard domain accepts less of it, as the others do there.
    hard = [row._replace(asked_domain="hard") for row in reviews(rng, 400, wrong=0.8, annotators=("bob", "dan"))]
    easy = reviews(rng, 600, wrong=0.1, annotators=("ann", "bob"))
    found = examine(replace(material(), reviews=([], [*hard, *easy])), LIMITS)
    assert [one.state for one in found if one.kind == "annotators"] == [OK]


def test_a_champion_that_boasts() -> None:
    now = reviews(np.random.default_rng(1), 600, boast=0.25)
    changed = replace(material(), reviews=(material().reviews[0], now))
    [seen] = [one for one in examine(changed, LIMITS) if one.state == ALARM]
    assert seen.kind == "calibration"
    assert "too sure by 2" in seen.sentence


def test_of_too_few_nothing_is_told() -> None:
    rng = np.random.default_rng(0)
    few = Material(
        "en-US",
        "entropy",
        1,
        (arrivals(rng, 4000), arrivals(rng, 499, moved=3.0)),
        (reviews(rng, 99), reviews(rng, 99)),
    )
    found = examine(few, LIMITS)
    assert set(states(found).values()) == {TOO_FEW}
    assert {one.value for one in found} == {None}
    [scores] = [one for one in found if one.kind == "scores"]
    assert scores.sentence == "4,000 before and 499 now: it takes 500"
    nothing = examine(Material("en-US", "entropy", 1, ([], []), ([], [])), LIMITS)
    assert set(states(nothing).values()) == {TOO_FEW}
    assert {kind for kind, _ in states(nothing)} == set(KINDS)


def test_unscored_and_rejected_rows_are_left_out() -> None:
    rng = np.random.default_rng(0)
    unscored = [row._replace(score=None, nlu_score=None, domain=None) for row in arrivals(rng, 2000)]
    rejected = [row._replace(verdict="reject", said_domain=None, score=None) for row in reviews(rng, 300)]
    found = states(examine(Material("en-US", "entropy", 1, (unscored, unscored), (rejected, rejected)), LIMITS))
    assert found["scores", "*"] == found["nlu_scores", "*"] == found["ranking", "*"] == TOO_FEW
    assert found["calibration", "*"] == TOO_FEW
    assert found["domains", "*"] == OK
