"""The proof that a database equals its template: every catalogue, table, sequence and setting, by its facts.

A row's xmin is the transaction that wrote it, and a clone has its template's rows to the byte. So a catalogue
is unchanged when it has as many rows as the template's and none later than the template's seal: an insert or
update leaves a later row, a delete one row fewer. ANALYZE and VACUUM write in place and leave xmin alone.
"""

# ruff: noqa: S608 - SQL is put together from names that PostgreSQL itself has quoted (regclass)

from dataclasses import dataclass

import asyncpg

from sherpa.devstack.harness.cluster import ROLE

FIRST_USER_OID = 16384
PUBLIC_SCHEMA_OID = 2200

# Written by ANALYZE, and hints to the planner only.
STATISTICS = ("pg_statistic", "pg_statistic_ext_data")

# Catalogues full of PostgreSQL's own objects, which only a superuser can change: 21,000 of all 24,000 rows.
# Looking at the users' rows alone, by the column that tells whose they are, takes 0.6 ms instead of 1.3.
MOSTLY_BUILT_IN = {
    "pg_amop": "oid",
    "pg_amproc": "oid",
    "pg_attribute": "attrelid",
    "pg_class": "oid",
    "pg_depend": "objid",
    "pg_description": "objoid",
    "pg_operator": "oid",
    "pg_proc": "oid",
    "pg_ts_config_map": "mapcfg",
    "pg_type": "oid",
}

# A session's first temporary table leaves an empty schema behind, for the next session in its place.
NO_TEMPORARY_SCHEMAS = "nspname !~ '^pg_(toast_)?temp_'"

USER_TABLES = f"""
    SELECT oid::regclass::text AS name FROM pg_class
    WHERE relkind = 'r' AND oid >= {FIRST_USER_OID} ORDER BY oid
"""
USER_SEQUENCES = "SELECT oid::regclass::text AS name FROM pg_class WHERE relkind = 'S' ORDER BY oid"
CATALOGUES = """
    SELECT relname AS name FROM pg_class
    WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND NOT relisshared
    AND relname <> ALL ($1::text[]) ORDER BY relname
"""

# What shared catalogues say about this database and this role. A database's name and horizon are its own.
THIS_DATABASE = "(SELECT oid FROM pg_database WHERE datname = current_database())"
SHARED = {
    "database": f"""
        (SELECT (to_jsonb(database) - '{{oid, datname, datfrozenxid, datminmxid}}'::text[])::text
         FROM pg_database database WHERE oid = {THIS_DATABASE})""",
    "database comment": f"""
        (SELECT description FROM pg_shdescription
         WHERE objoid = {THIS_DATABASE} AND classoid = 'pg_database'::regclass)""",
    "database settings": f"""
        (SELECT string_agg(ROW(setrole, setconfig)::text, ',' ORDER BY setrole)
         FROM pg_db_role_setting WHERE setdatabase = {THIS_DATABASE})""",
    "role": f"""
        (SELECT ROW(rolpassword, rolvaliduntil, rolconnlimit, setconfig)::text
         FROM pg_authid LEFT JOIN pg_db_role_setting ON setrole = pg_authid.oid AND setdatabase = 0
         WHERE rolname = '{ROLE}')""",
}


@dataclass(frozen=True)
class Reference:
    """A template's facts and the SQL that asks a clone for them; deep ones see PostgreSQL's own objects."""

    names: list[str]
    proof: str
    expected: list[int | str | None]
    deep_proof: str
    deep_expected: list[int | str | None]


async def take(template: asyncpg.Connection) -> Reference:
    """Return the facts about the connected database, which nobody changes any more."""
    seal = await template.fetchval("SELECT pg_snapshot_xmax(pg_current_snapshot())::xid::text")
    facts = await _facts(template, MOSTLY_BUILT_IN)
    proof = _statement(seal, facts)
    deep_proof = _statement(seal, await _facts(template, {}))
    return Reference(
        names=list(facts),
        proof=proof,
        expected=list(*await template.fetch(proof)),
        deep_proof=deep_proof,
        deep_expected=list(*await template.fetch(deep_proof)),
    )


def differences(reference: Reference, found: asyncpg.Record, *, deep: bool) -> list[str]:
    """Return the names of the facts that aren't the template's: catalogues, tables, sequences, settings."""
    expected = reference.deep_expected if deep else reference.expected
    pairs = zip(reference.names, expected, found, strict=True)
    return [name for name, before, now in pairs if before != now]


async def _facts(connection: asyncpg.Connection, mostly_built_in: dict[str, str]) -> dict[str, str]:
    catalogues = [row["name"] for row in await connection.fetch(CATALOGUES, STATISTICS)]
    tables = [row["name"] for row in await connection.fetch(USER_TABLES)]
    sequences = [row["name"] for row in await connection.fetch(USER_SEQUENCES)]
    return {
        **{name: _rows(f"pg_catalog.{name}", _relevant(name, mostly_built_in)) for name in catalogues},
        **{name: _rows(name) for name in tables},
        **{name: f"(SELECT ROW(last_value, is_called)::text FROM {name})" for name in sequences},
        **SHARED,
    }


def _relevant(catalogue: str, mostly_built_in: dict[str, str]) -> str:
    if catalogue == "pg_namespace":
        return NO_TEMPORARY_SCHEMAS
    if owner := mostly_built_in.get(catalogue):
        # A database's owner may also comment on the schema public, one of PostgreSQL's own objects.
        return f"{owner} >= {FIRST_USER_OID} OR {owner} = {PUBLIC_SCHEMA_OID}"
    return "true"


def _rows(table: str, relevant: str = "true") -> str:
    """Return SQL for one number: how many rows there are, and a million more for each later than the seal."""
    counted = "sum(CASE WHEN age(xmin) > (SELECT age FROM seal) THEN 1 ELSE 1000000 END)"
    return f"(SELECT {counted} FROM {table} WHERE {relevant})"


def _statement(seal: str, facts: dict[str, str]) -> str:
    # The seal's age is worked out once, not for every row.
    return f"WITH seal AS MATERIALIZED (SELECT age('{seal}'::xid) AS age) SELECT {', '.join(facts.values())}"
