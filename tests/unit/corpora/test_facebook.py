from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from plugin.corpora.readers import read_corpus
from plugin.experiment.sources import SourceError, find
from plugin.formats.record import LabelledUtterance
from plugin.formats.source import UnreadableFileError
from plugin.records import Hypothesis, Slot

# Written for these tests in the two forms of the corpus.
TSV = (
    'alarm/set_alarm\t10:15:datetime,16:29:reminder/todo\tAvísame a las dos: comer algo \tes_XX\t{"tokenizations":[]}\n'
)
TOKENS = (
    "avísame:O a:O las:B-datetime dos:I-datetime ::O comer:B-reminder__todo algo:I-reminder__todo"
    " <=> alarm__set_alarm\n"
)


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_a_row_as_released(tmp_path: Path) -> None:
    (row,) = read_corpus(write(tmp_path, "eval-es.tsv.gz", TSV)).utterances
    slots = (Slot(10, 15, "datetime"), Slot(16, 29, "reminder/todo"))
    text = "Avísame a las dos: comer algo "
    assert row == LabelledUtterance("es/dev/1", "es", text, Hypothesis("alarm", "alarm/set_alarm", slots), "dev")


def test_a_row_of_tokens(tmp_path: Path) -> None:
    (row,) = read_corpus(write(tmp_path, "es/train.txt.gz", TOKENS)).utterances
    assert (row.id, row.locale, row.partition) == ("es/train/1", "es", "train")
    assert (row.label.domain, row.label.intent) == ("alarm", "alarm/set_alarm")
    assert row.text == "avísame a las dos : comer algo"
    found = [(slot.label, row.text[slot.start : slot.end]) for slot in row.label.slots]
    assert found == [("datetime", "las dos"), ("reminder/todo", "comer algo")]


def test_a_continuation_without_a_beginning_begins_a_slot(tmp_path: Path) -> None:
    """And one after another label is another slot: there are such rows in the corpus."""
    text = "hoy:I-datetime hoy:B-datetime alarma:I-noun si:O hoy:I-noun <=> alarm__set_alarm\n"
    (row,) = read_corpus(write(tmp_path, "es/test.txt", text)).utterances
    labels = [(slot.start, slot.end, slot.label) for slot in row.label.slots]
    assert labels == [(0, 3, "datetime"), (4, 7, "datetime"), (8, 14, "noun"), (18, 21, "noun")]


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("test-es.tsv", "alarm/set_alarm\t-2:30:datetime\tponme\tes_XX\t{}", "slots: must be start:end:type"),
        ("test-es.tsv", "alarm/set_alarm\t0:99:datetime\tponme\tes_XX\t{}", "label.slots[0]: span 0:99"),
        ("test-es.tsv", "set_alarm\t\tponme\tes_XX\t{}", "intent: must be domain/intent"),
        ("test-es.tsv", "alarm/set_alarm\t\tponme", "the row has 3 fields"),
        ("es/test.txt", "ponme:O alarm__set_alarm", "no <=>"),
        ("es/test.txt", "ponme <=> alarm__set_alarm", "is not token:tag"),
        ("es/test.txt", "ponme:X-date <=> alarm__set_alarm", "the tag must be O, B-type or I-type"),
    ],
)
def test_a_bad_row_is_named_and_stops_no_other(tmp_path: Path, name: str, row: str, message: str) -> None:
    good = TSV if name.endswith(".tsv") else TOKENS
    found = read_corpus(write(tmp_path, name, f"{good}{row}\n{good}"))
    assert [line for line, _ in found.rejected] == [2]
    assert message in str(found.rejected[0][1])
    assert [row.id for row in found.utterances] == ["es/test/1", "es/test/3"]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "train-es.tsv"
    path.write_bytes(TSV.encode() + b"caf\xe9\n")
    assert [line for line, _ in read_corpus(path).rejected] == [2]


def test_tokens_need_a_folder_named_after_the_language(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="named after the language"):
        read_corpus(write(tmp_path, "2018/train.txt", TOKENS))


def test_another_text_file_is_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match="the name must end in"):
        read_corpus(write(tmp_path, "notes.txt", "buy milk"))


def test_an_experiment_joins_the_parts_of_a_language(tmp_path: Path) -> None:
    for language in ("es", "th"):
        for part in ("train", "valid", "test"):
            write(tmp_path / "tokens", f"{language}/{part}.txt", TOKENS)
    (tmp_path / "tokens" / "README.txt").write_text("not a corpus")
    found = find([f"fb={tmp_path / 'tokens'}"])
    assert [source.place for source in found] == [("fb", "es"), ("fb", "th")]
    assert [(source.utterances, len(source.read())) for source in found] == [(3, 3), (3, 3)]
    assert {row.partition for row in found[0].read()} == {"train", "dev", "test"}
    assert [source.place for source in find([str(tmp_path / "tokens")], ["th"])] == [("tokens", "th")]
    assert [source.place for source in find([str(tmp_path / "tokens" / "es")])] == [("es", "es")]


def test_the_content_of_every_part_is_the_identity_of_the_corpus(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write(tmp_path, f"es/{part}.txt", TOKENS)
    (before,) = find([str(tmp_path / "es")])
    write(tmp_path, "es/train.txt", TOKENS * 2)
    (after,) = find([str(tmp_path / "es")])
    assert before.sha256 != after.sha256


def test_two_files_of_one_part_are_refused(tmp_path: Path) -> None:
    write(tmp_path, "es/train.txt", TOKENS)
    write(tmp_path, "train-es.tsv", TSV)
    with pytest.raises(SourceError, match="both hold fb/es"):
        find([f"fb={tmp_path / 'es'}", f"fb={tmp_path}"])
