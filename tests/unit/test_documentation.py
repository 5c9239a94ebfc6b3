"""README, CONTRIBUTING and docs: every relative link leads somewhere, and every `assay` command can be typed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import dropwhile, groupby
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest
import typer
from markdown_it import MarkdownIt
from markdown_it.token import Token

from plugin.cli.main import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
SHELL = ("sh", "bash", "shell")
ELSEWHERE = ("http:", "https:", "mailto:", "#")

ASSAY: Any = typer.main.get_command(app)
USAGE_ERROR: Any = typer.BadParameter.__base__  # Click's, or that of the Click inside Typer


class Shown(NamedTuple):
    """A command that a document shows. `to_be_typed`: in a block of its own, so complete, with real values."""

    document: str
    words: tuple[str, ...]
    to_be_typed: bool

    def __str__(self) -> str:
        return f"{self.document}: {shlex.join(self.words)}"


def tokens(text: str) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        yield token
        yield from token.children or ()


def links(text: str) -> Iterator[str]:
    for token in tokens(text):
        target = token.attrs.get("href") or token.attrs.get("src")
        if target and not str(target).startswith(ELSEWHERE):
            yield unquote(str(target)).partition("#")[0]


def commands(document: str, text: str) -> Iterator[Shown]:
    for token in tokens(text):
        if token.type == "code_inline":
            yield from (Shown(document, words, False) for words in command_lines(token.content))
        elif token.type == "code_block" or (token.type == "fence" and token.info.strip() in SHELL):
            yield from (Shown(document, words, True) for words in command_lines(token.content))


def command_lines(block: str) -> Iterator[tuple[str, ...]]:
    """The words after `assay` (before it may stand variables), up to a pipe, a redirection or the end of the line."""
    for line in block.replace("\\\n", " ").splitlines():
        if "assay " not in line:
            continue
        lexer = shlex.shlex(line.strip(), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        for is_operator, group in groupby(lexer, lambda word: set(word) <= set("();<>|&")):
            name, *words = dropwhile(lambda word: "=" in word, [*group, ""])
            if not is_operator and name == "assay":
                yield tuple(words[:-1])


def problem(shown: Shown) -> str | None:
    """What keeps the command from being parsed; nothing is executed."""
    command, words = ASSAY, list(shown.words)
    while words and hasattr(command, "commands"):
        name = words.pop(0)
        if name in options(command):
            continue
        if name not in command.commands:
            return f"there is no command {name}"
        command = command.commands[name]
    if shown.to_be_typed:
        try:
            command.make_context(command.name, words)
        except USAGE_ERROR as error:
            return str(error.format_message())
    given = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    unknown = given - options(command)
    return f"there is no option {', '.join(sorted(unknown))}" if unknown else None


def options(command: Any) -> set[str]:
    return {"--help"} | {name for given in command.params for name in (*given.opts, *given.secondary_opts)}


def relative(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_relative_links_lead_somewhere(document: Path) -> None:
    found = set(links(document.read_text(encoding="utf-8")))
    assert sorted(link for link in found if not (document.parent / link).exists()) == []


@pytest.mark.parametrize(
    "shown",
    [shown for document in DOCUMENTS for shown in commands(relative(document), document.read_text(encoding="utf-8"))],
    ids=str,
)
def test_commands_can_be_typed(shown: Shown) -> None:
    assert problem(shown) is None
