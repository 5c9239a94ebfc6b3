"""The document as Markdown, its figures as files beside it."""

from __future__ import annotations

from collections.abc import Sequence

from plugin.experiment.report.document import Cell, Document, Figures, Part, Section, Table

FIGURES = "figures"
TOLD_APART = ("good", "bad")  # in bold, for a table has no colour here


def markdown(document: Document) -> str:
    verdict = document.verdict
    details = "\n".join(f"- {line}" for line in verdict.details)
    top = f"# {document.title}\n\n{document.subtitle}\n\n{verdict.sentence}\n\n{details}\n"
    return "\n".join([top, *map(_section, document.sections)])


def _section(section: Section) -> str:
    return f"## {section.title}\n\n" + "".join(f"{text}\n\n" for part in section.parts if (text := _part(part)))


def _part(part: Part) -> str:
    match part:
        case Table():
            shown = "\n\n".join(filter(None, [_table(part), part.caption]))
            return f"<details><summary>{part.summary}</summary>\n\n{shown}\n\n</details>" if part.summary else shown
        case Figures():
            drawn = "\n".join(f"![{_alt(figure.alt)}]({FIGURES}/{figure.name}.svg)" for figure in part.items)
            return "\n\n".join(filter(None, [drawn, part.caption])) if drawn else ""
    return part


def _table(table: Table) -> str:
    lines = [_line(table.columns), _line(["---", *("---:" for _ in table.columns[1:])])]
    for row in table.rows:
        cells = [_cell(cell) for cell in row]
        if len(cells) == 1:
            cells = [f"**{cells[0]}**", *("" for _ in table.columns[1:])]
        lines.append(_line(cells))
    return "\n".join(lines)


def _cell(cell: Cell | str) -> str:
    if isinstance(cell, str):
        return cell
    text = f"**{cell.text}**" if cell.tone in TOLD_APART else cell.text
    return "<br>".join([text, *cell.under.splitlines()])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _alt(text: str) -> str:
    return text.replace("[", "(").replace("]", ")")
