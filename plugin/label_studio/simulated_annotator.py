"""A simulated annotator: a user of its own who reviews through Label Studio's API what the truth is known for.

For demonstrations and tests. Its annotations say so: its e-mail address and the note on each of them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from plugin.label_studio.controls import NOTE, REJECT
from plugin.label_studio.payloads import DrawnTask
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import label_regions, region
from plugin.label_studio.screen import LabelSet
from plugin.records import Hypothesis, RejectReason, Verdict

SIMULATED_EMAIL = "simulated-annotator@example.org"
SIMULATED_NOTE = "simulated annotator"
LEAD_TIME_S = 1.0

Truth = Callable[[int], Hypothesis | None]


@dataclass(slots=True)
class SimulatedAnnotator:
    """Draws the next task, accepts a right hypothesis, fixes a wrong one, rejects what has no true label.

    truth       utterance id -> its label; None: it cannot be labelled
    error_rate  how often an intent comes out wrong, drawn from the others of its domain
    skip_rate   how often a task is skipped
    """

    client: LabelStudio
    truth: Truth
    labels: LabelSet
    error_rate: float = 0.0
    skip_rate: float = 0.0
    seed: int = 0
    done: dict[str, int] = field(default_factory=dict)
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        for name in ("error_rate", "skip_rate"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must lie in [0, 1], not {getattr(self, name)}")
        self._random = random.Random(self.seed)  # noqa: S311

    def review(self, project_id: int, count: int) -> int:
        """Review up to `count` tasks of a queue; how many there were."""
        for number in range(count):
            task = self.client.next_task(project_id)
            if task is None:
                return number
            self._answer(task)
        return count

    def _answer(self, task: DrawnTask) -> None:
        if task.utterance_id is None or self._random.random() < self.skip_rate:
            self._submit(task, "skip", [note()], skipped=True)
            return
        label = self.truth(task.utterance_id)
        if label is not None and self._random.random() < self.error_rate:
            label = self._mistaken(label)
        verdict, result = answer(task, label)
        self._submit(task, str(verdict), result)

    def _mistaken(self, label: Hypothesis) -> Hypothesis:
        others = [intent for intent in self.labels.intents.get(label.domain, ()) if intent != label.intent]
        return replace(label, intent=self._random.choice(others)) if others else label

    def _submit(self, task: DrawnTask, outcome: str, result: list[dict[str, Any]], *, skipped: bool = False) -> None:
        self.client.submit_annotation(
            task.task_id,
            result,
            lead_time_s=LEAD_TIME_S,
            parent_prediction=task.prediction_id,
            skipped=skipped,
        )
        self.done[outcome] = self.done.get(outcome, 0) + 1


def truth_of(labels: Mapping[int, Hypothesis | None]) -> Truth:
    """A look-up that fails loudly for utterances it does not know."""
    return labels.__getitem__


def answer(task: DrawnTask, label: Hypothesis | None) -> tuple[Verdict, list[dict[str, Any]]]:
    """What a person who knows the true label would submit, and the verdict on what was filled in."""
    if label is None:
        reason = region("reject", REJECT, "choices", {"choices": [str(RejectReason.UNINTELLIGIBLE)]})
        return Verdict.REJECT, [reason, note()]
    verdict = Verdict.ACCEPT if label == task.shown else Verdict.FIX
    return verdict, [*label_regions(label, task.text), note()]


def note() -> dict[str, Any]:
    return region("note", NOTE, "textarea", {"text": [SIMULATED_NOTE]})
