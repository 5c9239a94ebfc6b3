"""What is around the queues of the fake Label Studio: webhooks, tabs, backends, its clock and its database."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from plugin.label_studio.client import UNRESOLVED
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.inspection import WEBHOOK_ACTIONS, webhook_settings
from plugin.label_studio.payloads import Hook, ServerFacts, parse_hook
from plugin.label_studio.tabs import TABS

if TYPE_CHECKING:
    from tests.fakes.label_studio import FakeLabelStudio

Json = Mapping[str, Any]
Deliver = Callable[[str, Mapping[str, str], Json], object]
POSTGRESQL, SQLITE = "django.db.backends.postgresql", "django.db.backends.sqlite3"


class Surroundings:
    """A part of `FakeClient`."""

    _server: FakeLabelStudio
    _email: str

    def clock(self) -> datetime | None:
        return (datetime.now(UTC) + self._server.clock_is_ahead).replace(microsecond=0)

    def server_facts(self) -> ServerFacts:
        if self._email != self._server.superuser:
            return ServerFacts()
        return ServerFacts(self._server.engine, self._server.lock_ttl.total_seconds())

    def delete_project(self, project_id: int) -> None:
        self._server.project(project_id)
        del self._server.projects[project_id]

    def webhooks(self, project_id: int) -> list[Hook]:
        return [parse_hook(hook) for hook in self._server.project(project_id).webhooks]

    def ensure_webhook(self, project_id: int, url: str, secret: str, actions: Sequence[str] = WEBHOOK_ACTIONS) -> None:
        present = self._server.project(project_id).webhooks
        wanted = webhook_settings(url, secret, actions)
        ours = [hook for hook in present if hook["url"] == url]
        if ours and parse_hook(ours[0]).serves(wanted):
            return
        self._server.check_webhook_url(project_id, url)
        if ours:
            ours[0].update(wanted)
        else:
            present.append({"id": self._server.new_id(), "project": project_id, **wanted})

    def tabs(self, project_id: int) -> list[str]:
        return list(self._server.project(project_id).tabs)

    def ensure_tabs(self, project_id: int) -> None:
        present = self._server.project(project_id).tabs
        present.extend(tab.title for tab in TABS if tab.title not in present)

    def ml_backends(self, project_id: int) -> list[str]:
        return list(self._server.project(project_id).ml_backends)

    def sorted_by(self, project_id: int, column: str) -> list[int | None]:
        """PostgreSQL sorts columns of data as text."""
        key = str if self._server.engine == POSTGRESQL else float
        tasks = self._server.project(project_id).tasks.values()
        return [task["data"]["utterance_id"] for task in sorted(tasks, key=lambda task: key(task["data"][column]))]


class Webhooks:
    """A part of `FakeLabelStudio`: its hooks, as it sends them and as it refuses them.

    deliver    what sends a webhook; None sends none
    ssrf_open  the private address that it may send to, as the stack sets it up; "*" is every address
    """

    deliver: Deliver | None
    ssrf_open: str

    def check_webhook_url(self, project_id: int, url: str) -> None:
        what, host = f"webhook of project {project_id}", urlsplit(url).hostname or ""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            if "." not in host:
                raise LabelStudioError(what, 400, {"url": ["Enter a valid URL."]}) from None
            if host.endswith(".invalid"):
                raise LabelStudioError(what, 400, f"{UNRESOLVED} {host}") from None
            return
        if not address.is_global and self.ssrf_open not in ("*", host):
            raise LabelStudioError(what, 403, f"URL resolves to a reserved network address (block: {host})")

    def send(self, hooks: Sequence[Json], action: str, payload: Json) -> None:
        for hook in hooks if self.deliver else ():
            if hook["is_active"] and action in hook["actions"]:
                assert self.deliver is not None
                self.deliver(str(hook["url"]), hook["headers"], {"action": action, **payload})


NO_SKEW = timedelta()
