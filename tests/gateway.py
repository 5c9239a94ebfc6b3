"""A gateway before a real Label Studio: it notes every request, and may answer otherwise than Label Studio does."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import httpx

HTML = b"<html><title>Bad gateway</title></html>"
KEPT_OUT = ("host", "connection", "accept-encoding", "content-length", "transfer-encoding")
TOKENS = "/api/token/"


class Fault(Enum):
    """What the client sees, and whether Label Studio does the work all the same."""

    BUSY = "429, not done"
    ILL = "500, not done"
    ILL_AFTERWARDS = "500, done"
    BAD_GATEWAY = "502 and a page, not done"
    BAD_GATEWAY_AFTERWARDS = "502 and a page, done"
    CUT = "the connection breaks, not done"
    CUT_AFTERWARDS = "the connection breaks, done"
    SLOW = "done, and the answer comes after the client's patience"
    LATE = "done after the client's patience"
    TRUNCATED = "done, half of the answer"
    GARBAGE = "done, 200 and a page"


STATUS = {
    Fault.BUSY: 429,
    Fault.ILL: 500,
    Fault.ILL_AFTERWARDS: 500,
    Fault.BAD_GATEWAY: 502,
    Fault.BAD_GATEWAY_AFTERWARDS: 502,
    Fault.GARBAGE: 200,
}
NOT_DONE = {Fault.BUSY, Fault.ILL, Fault.BAD_GATEWAY, Fault.CUT}
CUT = {Fault.CUT, Fault.CUT_AFTERWARDS}


@dataclass(frozen=True, slots=True)
class Passed:
    """A request that came by: `path` without its query, times by `time.monotonic`."""

    method: str
    path: str
    body: bytes
    began: float
    ended: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Gateway:
    """`mood` decides about each request; `patience` is the clients' time-out."""

    target: str
    url: str = ""
    patience: float = 2.0
    mood: Callable[[str, str], Fault | None] = lambda *_: None
    requests: list[Passed] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    at_work: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def asked(self) -> list[Passed]:
        """Without what keeps a client signed in."""
        return [request for request in self.requests if not request.path.startswith(TOKENS)]

    def settle(self) -> None:
        """Until Label Studio has done all that it was sent, whoever has given up on it."""
        while self.at_work:
            time.sleep(0.05)

    def enter(self, method: str, path: str) -> Fault | None:
        with self._lock:
            self.at_work += 1
            fault = self.mood(method, path)
            if fault is not None:
                self.faults.append(fault)
            return fault

    def leave(self, passed: Passed) -> None:
        with self._lock:
            self.at_work -= 1
            self.requests.append(passed)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = False  # what was sent late is done before the test ends

    def handle_error(self, *_: object) -> None:
        """Clients that have given up are what this is for."""


@contextmanager
def gateway(target: str) -> Iterator[Gateway]:
    found = Gateway(target)
    no_reuse = httpx.Limits(max_keepalive_connections=0)  # else a connection may end just as it is used again
    with httpx.Client(base_url=target, timeout=600, trust_env=False, limits=no_reuse) as upstream:

        class Handler(http.server.BaseHTTPRequestHandler):
            def serve(self) -> None:
                began = time.monotonic()
                path = self.path.partition("?")[0]
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                fault = found.enter(self.command, path)
                try:
                    self.answer(body, fault)
                finally:
                    found.leave(Passed(self.command, path, body, began, time.monotonic()))

            def answer(self, body: bytes, fault: Fault | None) -> None:
                if fault is Fault.LATE:
                    time.sleep(found.patience * 1.5)
                theirs = None if fault in NOT_DONE else self.forward(body)
                if fault is Fault.SLOW:
                    time.sleep(found.patience * 1.5)
                if fault in CUT:
                    return
                if fault in STATUS:
                    self.reply(STATUS[fault], {"Content-Type": "text/html", "Retry-After": "1"}, HTML)
                else:
                    assert theirs is not None
                    kept = {name: value for name, value in theirs.headers.items() if name.lower() not in KEPT_OUT}
                    self.reply(theirs.status_code, kept, theirs.content, halve=fault is Fault.TRUNCATED)

            def forward(self, body: bytes) -> httpx.Response:
                kept = {name: value for name, value in self.headers.items() if name.lower() not in KEPT_OUT}
                headers = {**kept, "Accept-Encoding": "identity"}
                return upstream.request(self.command, self.path, headers=headers, content=body)

            def reply(self, status: int, headers: dict[str, str], body: bytes, *, halve: bool = False) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) // 2] if halve else body)

            do_GET = serve  # noqa: N815
            do_POST = serve  # noqa: N815
            do_PATCH = serve  # noqa: N815
            do_PUT = serve  # noqa: N815
            do_DELETE = serve  # noqa: N815

            def log_request(self, *_: object) -> None:
                return

        with Server(("127.0.0.1", 0), Handler) as server:
            found.url = f"http://127.0.0.1:{server.server_port}"
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield found
            finally:
                server.shutdown()
