"""The proof that a database equals its template: every catalogue, every table, every sequence, compared by facts.

A row's xmin is the transaction that wrote it, and a clone keeps those of its template. So a catalogue is unchanged
when it has as many rows as the template's and none was written later than the template was sealed: an insert or an
update leaves a later row, a delete one fewer. ANALYZE and VACUUM change statistics in place and leave xmin alone.
"""

from dataclasses import dataclass

import asyncpg

FIRST_USER_OID = 16384

# Rewritten by ANALYZE, and no more than hints to the planner.
STATISTICS = ("pg_statistic", "pg_statistic_ext_data")

# Catalogues full of PostgreSQL's own objects, which only a superuser can change: 17,000 of all 20,000 rows.
# Looking at the others' rows alone, by the column that tells whose they are, takes 0.5 ms instead of 1.3.
MOSTLY_BUILT_IN = {
    "pg_amop": "oid",
    "pg_amproc": "oid",
    "pg_attribute": "attrelid",
    "pg_class": "oid",
    "pg_depend": "objid",
    "pg_operator": "oid",
    "pg_proc": "oid",
    "pg_ts_config_map": "mapcfg",
    "pg_type": "oid",
}

USER_TABLES = f"""
    SELECT oid, oid::regclass::text AS name FROM pg_class
    WHERE relkind = 'r' AND oid >= {FIRST_USER_OID} AND relnamespace <> 'pg_toast'::regnamespace ORDER BY oid
"""
USER_SEQUENCES = "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'S' ORDER BY oid"
CATALOGUES = """
    SELECT relname AS name FROM pg_class
    WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND NOT relisshared
    AND relname <> ALL ($1::text[]) ORDER BY relname
"""

# What the shared catalogues say about this database; its name and its transaction horizon are its own.
DATABASE = """
    (SELECT ROW(datdba, encoding, datlocprovider, datistemplate, datallowconn, datconnlimit, dattablespace,
                datcollate, datctype, daticulocale, daticurules, datcollversion, datacl)::text
     FROM pg_database WHERE datname = current_database())
"""
DATABASE_SETTINGS = """
    (SELECT string_agg(ROW(setrole, setconfig)::text, ',' ORDER BY setrole) FROM pg_db_role_setting
     WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""
DATABASE_COMMENT = """
    (SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True)
class Reference:
    """A template's facts and the SQL that asks a clone for them; `deep` looks at PostgreSQL's own objects too."""

    names: list[str]
    proof: str
    expected: list[int | str | None]
    deep_proof: str
    deep_expected: list[int | str | None]


async def take(template: asyncpg.Connection) -> Reference:
    """Return the facts about the database that is connected to, which nobody changes any more."""
    seal = await template.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text")
    facts = await _facts(template, MOSTLY_BUILT_IN)
    deep_facts = await _facts(template, {})
    proof, deep_proof = _statement(seal, facts), _statement(seal, deep_facts)
    return Reference(
        names=list(facts),
        proof=proof,
        expected=list(await template.fetchrow(proof)),
        deep_proof=deep_proof,
        deep_expected=list(await template.fetchrow(deep_proof)),
    )


def differences(reference: Reference, found: asyncpg.Record, *, deep: bool) -> list[str]:
    """Return the names of the facts that aren't as in the template: catalogues, tables, sequences, settings."""
    expected = reference.deep_expected if deep else reference.expected
    pairs = zip(reference.names, expected, found, strict=True)
    return [name for name, before, now in pairs if before != now]


async def _facts(connection: asyncpg.Connection, built_in: dict[str, str]) -> dict[str, str]:
    catalogues = [row["name"] for row in await connection.fetch(CATALOGUES, STATISTICS)]
    tables = [row["name"] for row in await connection.fetch(USER_TABLES)]
    sequences = [row["name"] for row in await connection.fetch(USER_SEQUENCES)]
    return {
        **{name: _rows(f"pg_catalog.{name}", built_in.get(name)) for name in catalogues},
        **{name: _rows(name, None) for name in tables},
        **{name: f"(SELECT ROW(last_value, is_called)::text FROM {name})" for name in sequences},
        "database": DATABASE,
        "database settings": DATABASE_SETTINGS,
        "database comment": DATABASE_COMMENT,
    }


def _rows(table: str, owner_column: str | None) -> str:
    """Return SQL for one number: how many rows there are, and a million for each that is later than the seal."""
    users_only = f" WHERE {owner_column} >= {FIRST_USER_OID}" if owner_column else ""
    counted = "sum(CASE WHEN age(xmin) > (SELECT age FROM seal) THEN 1 ELSE 1000000 END)"
    return f"(SELECT {counted} FROM {table}{users_only})"


def _statement(seal: str, facts: dict[str, str]) -> str:
    # The seal's age is worked out once, not for every row.
    return f"WITH seal AS MATERIALIZED (SELECT age('{seal}'::xid) AS age) SELECT " + ", ".join(facts.values())
