"""Door 3: Celery. `celery -A tasks worker -Q ingest,selection` and its siblings."""

from tasks.app import app

__all__ = ["app"]
