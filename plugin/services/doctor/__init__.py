"""`assay label-studio doctor`: what is wrong, why it matters, and the mend. A check is one function in a registry."""

# In the order in which they run: what others stand on comes first.
from plugin.services.doctor import parts, label_studio, webhooks, queues  # noqa: I001
from plugin.services.doctor.examination import Report, examine, mend
from plugin.services.doctor.findings import KINDS, Finding, Kind, Severity
from plugin.services.doctor.patient import CHECKS, Check, Patient

__all__ = [
    "CHECKS",
    "KINDS",
    "Check",
    "Finding",
    "Kind",
    "Patient",
    "Report",
    "Severity",
    "examine",
    "label_studio",
    "mend",
    "parts",
    "queues",
    "webhooks",
]
