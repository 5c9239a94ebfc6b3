"""The analysis of an experiment: from trials to numbers. The report says what is done and why, beside the numbers."""

from plugin.experiment.analysis.analyse import Analysis, analyse
from plugin.experiment.analysis.results import NoResultsError, Results, read_results, results_from

__all__ = ["Analysis", "NoResultsError", "Results", "analyse", "read_results", "results_from"]
