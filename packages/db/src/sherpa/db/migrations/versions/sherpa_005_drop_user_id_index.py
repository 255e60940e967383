"""One index on memberships(user_id) is enough: that of its UNIQUE.

Why: idx_memberships_user_id holds the same column in the same order as memberships_user_id_key. It serves
no query that the other doesn't, and every insert writes both.

Locks: SHARE UPDATE EXCLUSIVE on memberships, beside which everybody reads and writes; it waits for the
queries that still use the index.

Old and new code: neither names it. Plans that used it use memberships_user_id_key.

Way back: builds it again, as quietly.
"""

from sherpa.db.migrations.migration import Migration

ID = "005_drop_user_id_index"
VERSION = "1.38.0"
DESCRIPTION = "memberships: without the second index on user_id"

FORWARDS = ("DROP INDEX CONCURRENTLY IF EXISTS idx_memberships_user_id",)

BACKWARDS = ("CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_memberships_user_id ON memberships (user_id)",)

forwards = Migration(ID, DESCRIPTION, forwards=FORWARDS, backwards=BACKWARDS, transaction=False)
