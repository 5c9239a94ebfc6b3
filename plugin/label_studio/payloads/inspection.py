"""What Label Studio says of itself and of a project's surroundings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plugin.label_studio.payloads.common import Json

ENGINE = re.compile(r"'ENGINE': '([\w.]+)'")


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook of a project. Its headers hold our secret: they are compared and never shown."""

    hook_id: int
    url: str
    is_active: bool
    settings: Mapping[str, Any]

    def serves(self, wanted: Json) -> bool:
        return not any(_differs(self.settings.get(name), value) for name, value in wanted.items())

    def __repr__(self) -> str:
        return f"Hook({self.hook_id}, {self.url!r}, is_active={self.is_active})"


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What Label Studio's page /version/ tells a superuser; None for what it does not tell."""

    engine: str | None = None
    lock_ttl_s: float | None = None


def parse_hook(hook: Json) -> Hook:
    return Hook(int(hook["id"]), str(hook["url"]), bool(hook["is_active"]), dict(hook))


def parse_server_facts(page: str) -> ServerFacts:
    """The page holds passwords as well: nothing else is kept of it."""
    engine = ENGINE.search(_setting(page, "DATABASES"))
    ttl = _setting(page, "TASK_LOCK_TTL")
    return ServerFacts(engine.group(1) if engine else None, float(ttl) if ttl.isdigit() else None)


def _setting(page: str, name: str) -> str:
    found = re.search(rf'^ *"{name}": "(.*)",?$', page, re.MULTILINE)
    return found.group(1) if found else ""


def _differs(present: object, wanted: object) -> bool:
    return set(present) != set(wanted) if isinstance(present, list) and isinstance(wanted, list) else present != wanted
