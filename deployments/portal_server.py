"""The portal as a process: the web application, and the two calls that start and wake runs."""

from __future__ import annotations

import uvicorn

from deployments import collector, lifeline
from deployments.logs import open_log
from deployments.runs import Runs
from models.settings import Settings
from models.store.database import Database
from notifications.links import load_secrets
from portal.app import create_app


def main() -> None:
    """The process `portal`."""
    lifeline.follow()
    settings = Settings()
    open_log()
    db = Database(settings.business_url)
    runs = Runs(db, settings)
    app = create_app(
        db=db,
        settings=settings,
        secrets=load_secrets(settings.home_path),
        start=runs.start,
        wake=runs.wake,
        missing=runs.missing,
        operations=runs,
    )
    collector.settle()
    # The server's own access log would write tokens; the application writes its own.
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=settings.portal_port,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=5,
        server_header=False,
        date_header=True,
        forwarded_allow_ips="127.0.0.1",
    )


if __name__ == "__main__":
    main()
