from __future__ import annotations

import pytest

from plugin.label_studio.queues import LabelSet, QueueTask, project_settings, rank_codes, task_json
from plugin.label_studio.simulated_annotator import SIMULATED_EMAIL, SimulatedAnnotator, truth_of
from plugin.records import Hypothesis
from tests.fakes.label_studio import FakeLabelStudio

LABELS = LabelSet({"music": ["play_song", "stop"]}, [])
PLAY = Hypothesis("music", "play_song")


COUNT = 60


def run(seed: int, error_rate: float = 0.0, skip_rate: float = 0.0) -> dict[str, int]:
    server = FakeLabelStudio()
    admin = server.client()
    project = admin.create_project(project_settings("en-US", "music", LABELS))
    tasks = [QueueTask(number, "play", PLAY, "why", code) for number, code in enumerate(rank_codes(COUNT))]
    admin.import_tasks(project, [task_json(task, "v1", LABELS) for task in tasks])
    admin.set_order(project, "v1")
    annotator = SimulatedAnnotator(
        server.client(SIMULATED_EMAIL),
        truth_of(dict.fromkeys(range(COUNT), PLAY)),
        LABELS,
        error_rate,
        skip_rate,
        seed,
    )
    assert annotator.review(project, COUNT + 1) == COUNT
    return annotator.done


def test_without_errors_it_says_the_truth() -> None:
    assert run(seed=1) == {"accept": 60}


def test_error_and_skip_rates_are_kept_and_the_seed_repeats_them() -> None:
    done = run(seed=1, error_rate=0.25, skip_rate=0.25)
    assert set(done) == {"accept", "fix", "skip"}
    assert 5 <= done["skip"] <= 25
    assert 3 <= done["fix"] <= 22
    assert run(seed=1, error_rate=0.25, skip_rate=0.25) == done


def test_an_utterance_without_known_truth_is_an_error() -> None:
    with pytest.raises(KeyError):
        truth_of({})(3)


@pytest.mark.parametrize(("error_rate", "skip_rate"), [(1.1, 0.0), (0.0, -0.1)])
def test_rates_outside_the_unit_interval_are_refused(error_rate: float, skip_rate: float) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        run(1, error_rate, skip_rate)
