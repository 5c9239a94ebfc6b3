from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from db.repositories.examples import Labelled
from plugin.records import Policy
from plugin.services.evaluation import EvaluationError, data
from plugin.services.evaluation.errors import SHOWN_CHARACTERS, one_line
from plugin.services.evaluation.schedules import next_due
from plugin.services.evaluation.training import next_name


def row(number: int, text: str, domain: str = "music") -> Labelled:
    return Labelled(number, number, "gold", f"g{number}", "en-US", text, domain, "play", [[0, 1, "x"]])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Play  it", "play it"),
        ("STRASSE", "straße"),
        ("ｐｌａｙ", "play"),
        (" cafe\u0301 ", "CAFÉ"),
        ("a\u00a0b\tc", "a b c"),
    ],
)
def test_texts_that_a_model_hardly_tells_apart_are_the_same(one: str, other: str) -> None:
    assert data.normalise(one) == data.normalise(other)


def test_texts_that_differ_stay_apart() -> None:
    assert len({data.normalise(text) for text in ("play", "plays", "play it", "playit", "play!")}) == 5


def test_the_guard_names_a_few_ids_and_counts_the_rest() -> None:
    rows = [row(number, f"text {number}") for number in range(9)]
    with pytest.raises(EvaluationError, match=r"gold/g0, gold/g1, gold/g2, gold/g3, gold/g4 and 4 more"):
        data.check_for_leaks(rows, rows)
    data.check_for_leaks(rows, [row(99, "text 1")])


def test_every_part_of_a_label_is_in_the_content_hash() -> None:
    base = row(1, "play")
    changed = [
        base._replace(text="plays"),
        base._replace(domain="weather"),
        base._replace(intent="stop"),
        base._replace(slots=[]),
        base._replace(external_id="g2"),
        base._replace(source="log"),
    ]
    hashes = {data.content_hash([item]) for item in [base, *changed]} | {data.content_hash([])}
    assert len(hashes) == len(changed) + 2
    assert data.content_hash([base._replace(utterance_id=7, annotation_id=8)]) == data.content_hash([base])


def test_slots_are_sorted_as_records_want_them() -> None:
    label = data.to_example(row(1, "play")._replace(slots=[[5, 6, "b"], [0, 1, "a"]])).label
    assert [slot.label for slot in label.slots] == ["a", "b"]


def test_of_a_policy_a_run_copies_which_weak_labels_train() -> None:
    assert data.weak_domains({"*": Policy(), "music": Policy(train_on_weak=True)}) == {"*": False, "music": True}


def test_names_go_on_from_the_highest_of_the_locale(tmp_path: Path) -> None:
    assert next_name("sw-KE", [], tmp_path / "absent") == "sw-KE-0001"
    assert next_name("sw-KE", ["sw-KE-0002", "is-IS-0009", "external-log", "sw-KE-0003-old"], tmp_path) == "sw-KE-0003"
    (tmp_path / "sw-KE-0007").mkdir()
    assert next_name("sw-KE", ["sw-KE-0002"], tmp_path) == "sw-KE-0008"
    assert next_name("sw-KE", ["sw-KE-9999"], tmp_path) == "sw-KE-10000"


def test_an_error_is_one_line_of_bounded_length() -> None:
    assert one_line(EvaluationError("no gold\ndata")) == "no gold data"
    assert one_line(KeyError("x")) == "KeyError: 'x'"
    assert one_line(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert len(one_line(ValueError("x" * 10_000))) == SHOWN_CHARACTERS


def test_cron_is_utc_whatever_the_clock_of_the_machine() -> None:
    after = datetime.fromisoformat("2026-03-29T05:30:00+03:00")  # 02:30 UTC
    assert next_due("0 3 * * *", after) == datetime(2026, 3, 29, 3, 0, tzinfo=UTC)
    assert next_due("0 0 29 2 *", after) == datetime(2028, 2, 29, 0, 0, tzinfo=UTC)
