"""The report of an experiment: one HTML page, the same in Markdown, and the numbers as JSON."""

from plugin.experiment.analysis import NoResultsError
from plugin.experiment.report.charts import NoDrawingError
from plugin.experiment.report.write import Written, write_report

__all__ = ["NoDrawingError", "NoResultsError", "Written", "write_report"]
