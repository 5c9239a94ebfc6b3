"""A finished run once more, from what it froze: whether the same predictions and the same numbers come out."""

from __future__ import annotations

from dataclasses import dataclass, field

from db.models import TrainingRun
from plugin.services.evaluation import judging, steps
from plugin.services.evaluation.errors import EvaluationError
from plugin.services.evaluation.lease import Heartbeat, locale_lease
from plugin.services.evaluation.runs import known_run
from plugin.services.evaluation.steps import EVALUATE, Agenda, Context, Details, Step, Training, pack_predictions
from plugin.services.evaluation.training import fit


@dataclass(frozen=True)
class Replay:
    """`differing`: what came out otherwise, in words. `changed`: what of the surroundings is not as it was."""

    run_id: int
    trainings: int
    differing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)

    @property
    def is_same(self) -> bool:
        return not self.differing


def replay(context: Context, run_id: int, *, train: bool = True) -> Replay:
    """Nothing is written. Without `train` only the metrics and verdicts are computed again, from stored predictions.

    Raises EvaluationError when the run has not been finished, or its utterances are gone.
    """
    with context.transaction() as session:
        run = known_run(session, run_id)
        if run.state != "done":
            raise EvaluationError(f"run {run_id} cannot be replayed: it is {run.state}")
        agenda = steps.read_agenda(session, run)
        done = steps.details(session, run_id)
        said = judging.read_predictions(session, run_id, agenda)
    differing: list[str] = []
    trainings = agenda.trainings if train else []
    if trainings:
        with locale_lease(context.transaction, run.locale, context.lease_ttl) as lease:
            for number, training in enumerate(trainings, start=1):
                at = Step(training.name, number, len(trainings) + 1)
                differing += train_again(context, run, agenda, training, done, lease, at)
    progress = context.observe(Step(EVALUATE, len(trainings) + 1, len(trainings) + 1))
    found = []
    for number, name in enumerate(agenda.frame.tests, start=1):
        found.append(judging.judge(agenda, said, name, seed=run.seed))
        if progress is not None:
            progress(number, len(agenda.frame.tests))
    if judging.result_hash(found) != done[EVALUATE]["result_hash"]:
        differing.append("other metrics or verdicts from the same predictions")
    return Replay(run_id, len(trainings), differing, changed_since(context, run) if trainings else [])


def train_again(
    context: Context,
    run: TrainingRun,
    agenda: Agenda,
    training: Training,
    done: Details,
    lease: Heartbeat,
    at: Step,
) -> list[str]:
    arm, before = agenda.data_of(training), done[training.name]
    if arm.content_hash != before["data_hash"]:
        return [f"{training.name}: other training data"]
    if "same_as" in before:
        return []  # the same data and seed: that of the other arm speaks for it
    scorer = fit(
        context.workshop, run.locale, arm, lease, seed=training.seed, replicates=agenda.replicates,
        schedule_size=agenda.schedule_size, progress=context.observe(at),
    )  # fmt: skip
    found, _ = pack_predictions(steps.ask(scorer, agenda.frame))
    return [] if found == before["predictions"] else [f"{training.name}: other predictions"]


def changed_since(context: Context, run: TrainingRun) -> list[str]:
    """What decides a model beside its data and seed, where it is not as it was: `threads 2, was 1`."""
    before, now = run.settings.get("trainer", {}), context.workshop.about
    names = sorted({*before, *now})
    return [f"{name} {now.get(name)}, was {before.get(name)}" for name in names if before.get(name) != now.get(name)]
