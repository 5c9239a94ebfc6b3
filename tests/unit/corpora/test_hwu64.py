from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from plugin.corpora.readers import read_corpus
from plugin.experiment.sources import find
from plugin.formats.record import LabelledUtterance
from plugin.records import Hypothesis, Slot

# Written for these tests in the two forms of the corpus.
FOLDS = """fold;answerid;scenario;intent;answer_annotation;answer_from_anno;answer_from_user
1;17;alarm;set;wake me at [time : nine am] on [date : friday];wake me at nine am on friday;Wake me at 9 AM on Friday!
2;17;general;affirm;"yes; do it";"yes; do it";Yes - do it
"""
WHOLE = """userid;answerid;scenario;intent;status;answer_annotation;notes;suggested_entities;answer_normalised;answer
1;2;lists;query;null;show [list_name : shopping] list;null;null;null;Show shopping list
1;3;lists;query;IRR;null;null;null;null;null
"""


def corpus(folder: Path, text: str) -> Path:
    path = folder / "hwu64.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))
    return path


def test_rows_of_the_folds(tmp_path: Path) -> None:
    """An answerid comes twice with other content, and both rows count: an id has the line in it."""
    found = read_corpus(corpus(tmp_path, FOLDS))
    slots = (Slot(11, 18, "time"), Slot(22, 28, "date"))
    assert found.rejected == []
    assert found.utterances == [
        LabelledUtterance("17/2", "en", "wake me at nine am on friday", Hypothesis("alarm", "alarm_set", slots)),
        LabelledUtterance("17/3", "en", "yes; do it", Hypothesis("general", "general_affirm")),
    ]


def test_rows_of_the_whole_have_their_text_in_the_annotation(tmp_path: Path) -> None:
    found = read_corpus(corpus(tmp_path, WHOLE))
    label = Hypothesis("lists", "lists_query", (Slot(5, 13, "list_name"),))
    assert found.utterances == [LabelledUtterance("2/2", "en", "show shopping list", label)]
    assert [(line, str(error)) for line, error in found.rejected] == [
        (3, "answer_annotation: is null: the row was not annotated")
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1;5;alarm;set;wake me;wake us;", "answer_annotation: without its slot marks is not the same text"),
        ("1;5;alarm;set;;wake me;", "answer_annotation: is missing"),
        ("1;5;alarm;;wake me;wake me;", "intent: is missing"),
        ("1;5;alarm", "the row has 3 fields, the header 7"),
        ('1;5;alarm;set;"wake;wake;', "not CSV"),
    ],
)
def test_a_bad_row_is_named_and_stops_no_other(tmp_path: Path, row: str, message: str) -> None:
    header, first, second = FOLDS.splitlines()
    found = read_corpus(corpus(tmp_path, "\n".join([header, first, row, second])))
    assert [line for line, _ in found.rejected] == [3]
    assert message in str(found.rejected[0][1])
    assert [row.id for row in found.utterances] == ["17/2", "17/4"]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "hwu64.csv"
    path.write_bytes(FOLDS.encode() + b"3;9;alarm;set;caf\xe9;caf\xe9;\n")
    found = read_corpus(path)
    assert [(line, "not UTF-8" in str(error)) for line, error in found.rejected] == [(4, True)]


def test_commas_make_another_corpus(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    path.write_text("id,locale,text,label_domain,label_intent\n1,en,play it,music,play\n")
    assert [row.label.domain for row in read_corpus(path).utterances] == ["music"]


def test_an_experiment_finds_it(tmp_path: Path) -> None:
    (source,) = find([str(corpus(tmp_path, FOLDS))])
    assert (source.place, source.utterances, len(source.read())) == (("hwu64", "en"), 2, 2)
