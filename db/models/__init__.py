"""Every table of Assay, a file per aggregate; the constraints say what the code believes."""

from db.base import Base
from db.models.alarms import Alarm, DriftLook
from db.models.evaluations import (
    Evaluation,
    EvaluationMetric,
    Lease,
    Schedule,
    TestSet,
    TestSetItem,
    TrainingFrame,
    TrainingPrediction,
    TrainingRun,
    TrainingStep,
    VerdictRow,
)
from db.models.models import Feature, ModelVersion, Score, ScoringWatermark
from db.models.policies import PolicyChange, PolicyRow
from db.models.queues import Queue, QueueTask, Rework
from db.models.selections import Refresh, SelectionFrame, SelectionItemRow, SelectionRow
from db.models.serving import ServingTrial
from db.models.sources import SourceRow, SourceTaskRow
from db.models.utterances import AnnotationRow, UtteranceRevision, UtteranceRow, WebhookEventRow

__all__ = [
    "Alarm",
    "AnnotationRow",
    "Base",
    "DriftLook",
    "Evaluation",
    "EvaluationMetric",
    "Feature",
    "Lease",
    "ModelVersion",
    "PolicyChange",
    "PolicyRow",
    "Queue",
    "QueueTask",
    "Refresh",
    "Rework",
    "Schedule",
    "Score",
    "ScoringWatermark",
    "SelectionFrame",
    "SelectionItemRow",
    "SelectionRow",
    "ServingTrial",
    "SourceRow",
    "SourceTaskRow",
    "TestSet",
    "TestSetItem",
    "TrainingFrame",
    "TrainingPrediction",
    "TrainingRun",
    "TrainingStep",
    "UtteranceRevision",
    "UtteranceRow",
    "VerdictRow",
    "WebhookEventRow",
]
