"""What a live test needs around the product: a log that comes in, webhooks that get lost, and people at work."""

from __future__ import annotations

import http.server
import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import httpx
import orjson

from plugin.corpora.demo import demo_corpus
from plugin.formats.record import LabelledUtterance, to_json
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.simulated_annotator import answer
from plugin.records import Utterance

LOCALE = "en"
DRAWN = 6000  # texts of the demo corpus; beyond, they come again with words of their own


@dataclass
class Log:
    """A production log of a few domains, which never ends and never repeats itself."""

    domains: Sequence[str]
    examples: list[LabelledUtterance] = field(init=False)
    written: int = 0

    def __post_init__(self) -> None:
        self.examples = [item for item in demo_corpus(LOCALE, DRAWN) if item.label.domain in self.domains]

    def take(self, count: int) -> list[Utterance]:
        numbers = range(self.written, self.written + count)
        self.written += count
        return [self.record(number) for number in numbers]

    def record(self, number: int) -> Utterance:
        example = self.examples[number % len(self.examples)]
        return Utterance(
            id=f"live-{number}",
            locale=LOCALE,
            text=f"{example.text} a{number} b{number} c{number}",
            hypothesis=example.label,
            nlu_score=0.5,
        )


def lines(records: Sequence[Utterance]) -> bytes:
    return b"\n".join(orjson.dumps(to_json(record)) for record in records)


def stream(url: str, token: str, log: Log, *, per_minute: int, seconds: float) -> int:
    """Post a second's worth every second; how many."""
    sent, began = 0, time.monotonic()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    with httpx.Client(base_url=url, headers=headers, timeout=60, trust_env=False) as http:
        while (elapsed := time.monotonic() - began) < seconds:
            count = int(per_minute * min(elapsed + 1, seconds) / 60) - sent
            if count > 0:
                http.post("/api/utterances?source=live", content=lines(log.take(count))).raise_for_status()
                sent += count
            time.sleep(max(0.0, 1 - (time.monotonic() - began - elapsed)))
    return sent


@dataclass
class Losses:
    passed: int = 0
    lost: int = 0


@contextmanager
def lossy_webhooks(target: str, port: int, *, share: float) -> Iterator[Losses]:
    """Between Label Studio and us: so many are lost, though Label Studio is told that they came."""
    losses, chance = Losses(), random.Random(0)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_lost = chance.random() < share
            losses.lost += is_lost
            losses.passed += not is_lost
            if not is_lost:
                kept = {name: value for name, value in self.headers.items() if name.lower() not in ("host",)}
                httpx.post(f"{target}{self.path}", content=body, headers=kept, timeout=30, trust_env=False)
            self.send_response(202)
            self.end_headers()

        def log_request(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield losses
        server.shutdown()


@dataclass
class Worker:
    """A person who draws from one queue after the other, at leisure, and goes on when Label Studio is away."""

    client: SdkLabelStudio
    projects: Sequence[int]
    pause: float
    submitted: list[int] = field(default_factory=list)
    refused: int = 0

    def work(self, stop: threading.Event) -> None:
        at = 0
        while not stop.wait(self.pause):
            try:
                task = self.client.next_task(self.projects[at % len(self.projects)])
                at += 1
                if task is not None:
                    _, result = answer(task, task.shown)
                    self.client.submit_annotation(task.task_id, result, parent_prediction=task.prediction_id)
                    self.submitted.append(task.task_id)
            except LabelStudioError:
                self.refused += 1


@contextmanager
def people(url: str, tokens: Sequence[str], projects: Sequence[int], pause: float) -> Iterator[list[Worker]]:
    stop = threading.Event()
    clients = [SdkLabelStudio(url, token, timeout_s=60) for token in tokens]
    workers = [Worker(client, [*projects[number:], *projects[:number]], pause) for number, client in enumerate(clients)]
    threads = [threading.Thread(target=worker.work, args=(stop,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield workers
    finally:
        stop.set()
        for thread in threads:
            thread.join(120)
        for client in clients:
            with closing(client):
                pass
