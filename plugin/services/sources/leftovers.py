"""Our predictions in somebody else's project: there only as long as it takes to make annotations of them.

Which versions may be there is written down before they are sent: whatever keeps them from being deleted, a later run
does it, also when it has nothing else to do.
"""

from __future__ import annotations

import logging

from db.models import SourceRow
from db.repositories import write_backs
from db.session import TransactionMaker
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.protocol import SourceProjects

log = logging.getLogger(__name__)


def drop(transaction: TransactionMaker, label_studio: SourceProjects, source: SourceRow) -> None:
    """They are in people's way, which is not worth a failure: what cannot be deleted stays for now."""
    with transaction() as session:
        versions = write_backs.our_versions(session, source.id)
    for version in versions:
        try:
            label_studio.drop_predictions(source.project_id, version)
        except LabelStudioError as error:
            log.warning("project %d: predictions %s stay for now: %s", source.project_id, version, error)
            continue
        with transaction() as session:
            write_backs.forget_version(session, source.id, version)
