"""The safe way, in the terms of our migrations, beside Squawk's own advice, which is short or missing."""

from collections.abc import Mapping

REPLACE = "Add the new column, write both, fill it in batches, read the new one, then drop the old one."
CONTRACT = (
    "First a release whose code uses it no longer; the next release's migration takes it away, "
    "with that release as the exception's reason."
)
CONCURRENTLY = "In a migration of its own, with transaction=False and a tuple of single statements:"

RECIPES: Mapping[str, str] = {
    "adding-field-with-default": "Add the column empty, fill it in batches, then set the default.",
    "adding-foreign-key-constraint": "NOT VALID here, VALIDATE CONSTRAINT in the next migration.",
    "adding-not-nullable-field": (
        "ADD CONSTRAINT c CHECK (column IS NOT NULL) NOT VALID here. In the next migration: VALIDATE "
        "CONSTRAINT c; SET NOT NULL, which trusts c instead of reading the table; DROP CONSTRAINT c."
    ),
    "adding-required-field": (
        "Add it with a constant DEFAULT; or nullable, fill it in batches, then make it NOT NULL."
    ),
    "ban-alter-identity": "First a release whose code writes the value itself; then the next migration.",
    "ban-drop-column": CONTRACT,
    "ban-drop-constraint": "First a release that relies on it no longer, as ON CONFLICT and errors do.",
    "ban-drop-default": "First a release whose code writes the value itself; then the next migration.",
    "ban-drop-domain": CONTRACT,
    "ban-drop-extension": CONTRACT,
    "ban-drop-function": CONTRACT,
    "ban-drop-generated-expression": "First a release whose code writes the value; then the next migration.",
    "ban-drop-not-null": "First a release whose code can read NULL; the next release's migration allows it.",
    "ban-drop-schema": CONTRACT,
    "ban-drop-sequence": CONTRACT,
    "ban-drop-table": CONTRACT,
    "ban-drop-type": CONTRACT,
    "ban-drop-view": CONTRACT,
    "ban-set-schema": "Leave it there; or move it, and create a view in its old place, in one migration.",
    "changing-column-type": (
        f"{REPLACE} A longer VARCHAR, or VARCHAR to TEXT, rewrites nothing: an exception with that reason."
    ),
    "disallowed-unique-constraint": (
        f"{CONCURRENTLY} CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS …. "
        "In the next one: ADD CONSTRAINT … UNIQUE USING INDEX …."
    ),
    "prefer-robust-stmts": "Without a transaction a statement may be run twice: IF [NOT] EXISTS.",
    "renaming-column": REPLACE,
    "renaming-object": "Create it anew and let both be, until a release uses the new one alone.",
    "renaming-table": (
        "Rename it and create a view with the old name in the same migration, for the code that still runs; "
        "the next release drops the view."
    ),
    "require-concurrent-index-creation": f"{CONCURRENTLY} CREATE INDEX CONCURRENTLY IF NOT EXISTS ….",
    "require-concurrent-index-deletion": f"{CONCURRENTLY} DROP INDEX CONCURRENTLY IF EXISTS ….",
}
