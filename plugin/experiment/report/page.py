"""The document as one self-contained HTML page: no script, no font, no request."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files

from plugin.experiment.report.colours import swap_to_dark
from plugin.experiment.report.document import Cell, Document, Figures, Part, Section, Table, Tile, Verdict


def html(document: Document) -> str:
    links = "".join(f'<a href="#{section.id}">{inline(section.title)}</a>' for section in document.sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(document.title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n<main>\n"
        f'<header><h1>{inline(document.title)}</h1><p class="subtitle">{inline(document.subtitle)}</p></header>\n'
        f'{_verdict(document.verdict)}<nav aria-label="Contents">{links}</nav>\n'
        f"{''.join(map(_section, document.sections))}</main>\n</body>\n</html>\n"
    )


def inline(text: str) -> str:
    """Escaped, with `code` and **bold**.

    >>> inline("**a** < `b`")
    '<b>a</b> &lt; <code>b</code>'
    """
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))
    return re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", marked)


def _style() -> str:
    css = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return css.replace("/*dark-figures*/", swap_to_dark(".figures "))


def _verdict(verdict: Verdict) -> str:
    details = "".join(f"<li>{inline(line)}</li>" for line in verdict.details)
    tiles = "".join(map(_tile, verdict.tiles))
    return (
        f'<div class="verdict {verdict.tone}"><p class="sentence">{inline(verdict.sentence)}</p>'
        f'<div class="tiles">{tiles}</div><ul>{details}</ul></div>\n'
    )


def _tile(tile: Tile) -> str:
    under = f"<span>{escape(tile.under)}</span>" if tile.under else ""
    return f'<div class="tile {tile.tone}"><span>{escape(tile.label)}</span><b>{escape(tile.number)}</b>{under}</div>'


def _section(section: Section) -> str:
    parts = "".join(map(_part, section.parts))
    return f'<section id="{section.id}"><h2>{inline(section.title)}</h2>\n{parts}</section>\n'


def _part(part: Part) -> str:
    match part:
        case Table():
            return _table(part)
        case Figures():
            return _figures(part)
    return f"<p>{inline(part)}</p>\n"


def _figures(figures: Figures) -> str:
    drawn = "".join(
        f'<figure role="img" aria-label="{escape(figure.alt)}">{figure.svg}</figure>\n' for figure in figures.items
    )
    return f'<div class="figures">\n{drawn}</div>\n{_caption(figures.caption)}' if drawn else ""


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{inline(column)}</th>' for column in table.columns)
    rows = "".join(_row(row, len(table.columns)) for row in table.rows)
    filled = f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table>"
    shown = f'<div class="table" tabindex="0">{filled}</div>\n{_caption(table.caption)}'
    return f"<details><summary>{inline(table.summary)}</summary>\n{shown}</details>\n" if table.summary else shown


def _row(row: Sequence[Cell | str], columns: int) -> str:
    first, *others = (cell if isinstance(cell, Cell) else Cell(cell) for cell in row)
    if not others:
        return f'<tr class="group"><th scope="colgroup" colspan="{columns}">{inline(first.text)}</th></tr>\n'
    return f'<tr><th scope="row">{inline(first.text)}</th>{"".join(map(_cell, others))}</tr>\n'


def _cell(cell: Cell) -> str:
    under = "".join(f"<small>{escape(line)}</small>" for line in cell.under.splitlines())
    text = inline(cell.text) if cell.tone == "words" else f"<b>{inline(cell.text)}</b>"
    return f'<td class="{cell.tone}">{text}{under}</td>' if cell.tone else f"<td>{text}{under}</td>"


def _caption(text: str) -> str:
    return f'<p class="caption">{inline(text)}</p>\n' if text else ""
