"""How far people agree: second opinions, adjudication, and tasks that are to be served again."""

from sqlalchemy.orm import Session

from db.repositories import queues as queue_rows
from db.repositories.opinions import REVIEW
from plugin.services.agreement.following import follow
from plugin.services.agreement.measuring import report, waiting
from plugin.services.agreement.publishing import publish_opinions
from plugin.services.agreement.reworking import rework
from plugin.services.agreement.settling import FollowUp, settle

__all__ = ["FollowUp", "follow", "is_of_reviews", "publish_opinions", "report", "rework", "settle", "waiting"]


def is_of_reviews(session: Session, queue_id: int) -> bool:
    """Whether a queue is planned by rounds; the others are planned by what people said."""
    queue = queue_rows.get(session, queue_id)
    return queue is None or queue.kind == REVIEW
