"""Conditions on many ids: one array each, because a statement takes no more than 65,535 parameters."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import BigInteger, ColumnElement, all_, any_, literal
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute

Column = InstrumentedAttribute[int] | InstrumentedAttribute[int | None]


def among(column: Column, ids: Iterable[int]) -> ColumnElement[bool]:
    return column == any_(_array(ids))


def not_among(column: Column, ids: Iterable[int]) -> ColumnElement[bool]:
    return column != all_(_array(ids))


def _array(ids: Iterable[int]) -> ColumnElement[list[int]]:
    return literal(list(ids), ARRAY(BigInteger))
