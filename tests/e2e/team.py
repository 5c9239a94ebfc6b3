"""People who draw from one queue at once, each with an account and a token of their own, and what they were served."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import kendalltau

from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.payloads import DrawnTask
from plugin.label_studio.simulated_annotator import answer
from tests.servers import LabelStudioServer

TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Draw:
    """A task as it was served: asked for at `began`, there at `ended`."""

    person: int
    task: DrawnTask
    began: float
    ended: float

    @property
    def utterance_id(self) -> int:
        assert self.task.utterance_id is not None
        return self.task.utterance_id


@dataclass
class Team:
    """Everyone draws, submits and draws again, all at the same time, until nothing is served any more."""

    people: Sequence[SdkLabelStudio]
    draws: list[Draw] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def draw(self, person: int, project_id: int) -> Draw | None:
        began = time.monotonic()
        task = self.people[person].next_task(project_id)
        if task is None:
            return None
        draw = Draw(person, task, began, time.monotonic())
        with self._lock:
            self.draws.append(draw)
        return draw

    def submit(self, draw: Draw) -> None:
        """As a person who finds it right."""
        _, result = answer(draw.task, draw.task.shown)
        self.people[draw.person].submit_annotation(
            draw.task.task_id, result, lead_time_s=1.0, parent_prediction=draw.task.prediction_id
        )

    @contextmanager
    def at_work(self, project_id: int, people: Sequence[int]) -> Iterator[Callable[[int], None]]:
        """While they work: what waits until so many tasks were drawn. At the end everyone has come to an end."""

        def work(person: int) -> None:
            while (draw := self.draw(person, project_id)) is not None:
                self.submit(draw)

        with ThreadPoolExecutor(len(people)) as pool:
            futures = [pool.submit(work, person) for person in people]

            def wait(count: int) -> None:
                while len(self.draws) < count:
                    assert not all(future.done() for future in futures), "all have stopped drawing"
                    time.sleep(0.05)

            yield wait
            for future in futures:
                future.result()


@contextmanager
def team(server: LabelStudioServer, size: int) -> Iterator[Team]:
    with ExitStack() as stack:
        accounts = server.annotators(size)
        clients = [SdkLabelStudio(server.url, account.token, timeout_s=TIMEOUT_S) for account in accounts]
        yield Team([stack.enter_context(closing(client)) for client in clients])


def before(draws: Sequence[Draw], moment: float) -> list[Draw]:
    return [draw for draw in draws if draw.ended < moment]


def after(draws: Sequence[Draw], moment: float) -> list[Draw]:
    return [draw for draw in draws if draw.began > moment]


def overtaken(draws: Sequence[Draw], planned: Sequence[int]) -> list[int]:
    """Of each item that was overtaken, by how many: later in the plan, and there before it was even asked for.

    What two people ask for at the same time may come in either order; nothing else should. Label Studio passes over
    a task while its own counting holds the row, as it does for a moment after each import of predictions.
    """
    rank = {utterance_id: place for place, utterance_id in enumerate(planned)}
    places = np.array([rank[draw.utterance_id] for draw in draws], dtype=np.int64)
    began, ended = (np.array([getattr(draw, name) for draw in draws]) for name in ("began", "ended"))
    counts = [int(((places > places[at]) & (ended < began[at])).sum()) for at in range(len(draws))]
    return [count for count in counts if count]


def behind(draws: Sequence[Draw], planned: Sequence[int], done: Sequence[Draw] = ()) -> list[int]:
    """For each draw, in the order in which they were there, how many of the plan should have come before it and had
    not, when what is done does not count. Where nobody works beside, all are 0.
    """
    left = set(planned) - {draw.utterance_id for draw in done}
    rank = {utterance_id: place for place, utterance_id in enumerate(id_ for id_ in planned if id_ in left)}
    missing: list[int] = []  # ranks below the furthest that were not served yet
    found, furthest = [], -1
    for draw in sorted(draws, key=lambda draw: draw.ended):
        at = rank[draw.utterance_id]
        if at > furthest:
            missing += range(furthest + 1, at)
            furthest = at
        else:
            missing.remove(at)
        found.append(sum(other < at for other in missing))
    return found


def tau(draws: Sequence[Draw], planned: Sequence[int]) -> float:
    """Kendall's tau between the order in which tasks were there and the plan."""
    rank = {utterance_id: place for place, utterance_id in enumerate(planned)}
    served = sorted(draws, key=lambda draw: draw.ended)
    return float(kendalltau(range(len(served)), [rank[draw.utterance_id] for draw in served]).statistic)


def worst_share(served: Sequence[int], part_of: Mapping[int, str]) -> float:
    """By how many items any prefix strays from the shares that the parts have in the whole."""
    parts = sorted({part_of[utterance_id] for utterance_id in served})
    whole = {part: sum(part_of[utterance_id] == part for utterance_id in served) for part in parts}
    counts = dict.fromkeys(parts, 0)
    worst = 0.0
    for length, utterance_id in enumerate(served, start=1):
        counts[part_of[utterance_id]] += 1
        worst = max(worst, *(abs(counts[part] - length * whole[part] / len(served)) for part in parts))
    return worst
