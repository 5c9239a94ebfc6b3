"""The word evaluation: train, compare on a frozen test set, publish the numbers, on a schedule if wanted."""

from plugin.quality.metrics import PRIMARY
from plugin.services.evaluation.arms import BASELINE, CANDIDATE, RANDOM
from plugin.services.evaluation.comparing import compare
from plugin.services.evaluation.errors import EvaluationError, LeaseLostError, LocaleBusyError
from plugin.services.evaluation.lease import check_idle
from plugin.services.evaluation.measure import ALL_DOMAINS, HIGHER_IS_BETTER, METRICS, change_of
from plugin.services.evaluation.publishing import metric_lines, publish
from plugin.services.evaluation.replaying import Replay, replay
from plugin.services.evaluation.report import list_runs, list_schedules, promoted_version, run_report, schedule_values
from plugin.services.evaluation.runs import cancel, check_material, create_run, execute
from plugin.services.evaluation.schedules import Due, put, send_again, send_later, start_on_drift, tick
from plugin.services.evaluation.steps import Context, Step
from plugin.services.evaluation.training import TRAINING_SEEDS, Workshop, train_first

__all__ = [
    "ALL_DOMAINS",
    "BASELINE",
    "CANDIDATE",
    "HIGHER_IS_BETTER",
    "METRICS",
    "PRIMARY",
    "RANDOM",
    "TRAINING_SEEDS",
    "Context",
    "Due",
    "EvaluationError",
    "LeaseLostError",
    "LocaleBusyError",
    "Replay",
    "Step",
    "Workshop",
    "cancel",
    "change_of",
    "check_idle",
    "check_material",
    "compare",
    "create_run",
    "execute",
    "list_runs",
    "list_schedules",
    "metric_lines",
    "promoted_version",
    "publish",
    "put",
    "replay",
    "run_report",
    "schedule_values",
    "send_again",
    "send_later",
    "start_on_drift",
    "tick",
    "train_first",
]
