"""How wrong a system's hypotheses are: SEMER, F-SEMER, IRER, DCER, ICER, slot F1, exact match, calibration.

Every rule is written down in docs/metrics.md. `count_errors` compares each utterance once; what it returns
holds the terms of the rates' sums, so that pooling, slices and a bootstrap are sums over arrays (see
`plugin.quality.inference`).
"""

from plugin.quality.metrics.alignment import DomainPolicy, SlotPolicy, count_errors
from plugin.quality.metrics.calibration import calibration_error
from plugin.quality.metrics.counts import HIGHER_IS_BETTER, METRICS, PRIMARY, ErrorCounts, Metric
from plugin.quality.metrics.slices import Bucket, length_buckets, pool
from plugin.quality.metrics.slot_counts import SLOT_METRICS, SlotCounts, SlotMetric

__all__ = [
    "HIGHER_IS_BETTER",
    "METRICS",
    "PRIMARY",
    "SLOT_METRICS",
    "Bucket",
    "DomainPolicy",
    "ErrorCounts",
    "Metric",
    "SlotCounts",
    "SlotMetric",
    "SlotPolicy",
    "calibration_error",
    "count_errors",
    "length_buckets",
    "pool",
]
