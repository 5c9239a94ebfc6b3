"""${message}

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}

Rules for a running system:
- The previous release keeps working on the new schema: add first, remove one release later.
- No lock that waits: indexes on filled tables with `postgresql_concurrently=True` in an autocommit block;
  constraints as NOT VALID, then VALIDATE. `lock_timeout` is 4 s.
- Rows are changed in batches, in a revision of their own, with a tester in tests/migrations/.
- `downgrade` leaves the schema exactly as it was; a test checks it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
