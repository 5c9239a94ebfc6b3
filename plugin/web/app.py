"""Door 1: HTTP. `uvicorn plugin.web.app:create_app --factory`; this process never loads torch."""

from __future__ import annotations

import logging

from fastapi import FastAPI

from plugin import __version__
from plugin.web import health, problems, utterances, webhooks
from plugin.web.headers import SecurityHeaders
from plugin.wiring import Wiring, get_wiring


def create_app(wiring: Wiring | None = None) -> FastAPI:
    """Raises SettingsError when the environment lacks the database or the broker."""
    wiring = wiring or get_wiring()
    logging.basicConfig(level=wiring.settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Neither opens a connection; both need their address.
    _ = wiring.engine, wiring.celery
    # FastAPI's documentation pages load scripts from other hosts.
    app = FastAPI(title="Assay", version=__version__, docs_url=None, redoc_url=None, openapi_url="/api/openapi.json")
    app.state.wiring = wiring
    app.add_middleware(SecurityHeaders)
    problems.install(app)
    for router in (health.router, utterances.router, webhooks.router):
        app.include_router(router)
    return app
