"""Changes of a schema, one of each kind: what is there, what is declared, the files that lead there."""

from dataclasses import dataclass
from typing import Final

PARENT: Final = "CREATE TABLE parent (id UUID PRIMARY KEY, code INTEGER, old INTEGER);"
CIRCLE: Final = """
    CREATE TABLE a (id UUID PRIMARY KEY, b_id UUID, me UUID REFERENCES a);
    CREATE TABLE b (id UUID PRIMARY KEY, a_id UUID REFERENCES a);
    ALTER TABLE a ADD CONSTRAINT a_b_id_fkey FOREIGN KEY (b_id) REFERENCES b;
"""
LONG: Final = r"it''s \d a -- long; story, " * 9
ONE: Final = ("change",)
PROVED: Final = ("change", "change_validated")
FILLED: Final = ("change", "change_required", "change_validated")
BUILT: Final = ("change", "change_indexes", "change_validated")
REMOVED: Final = ("change", "change_removed")


@dataclass(frozen=True, slots=True)
class Case:
    """SQL for the schema that is there and for the one that is declared; `files` are the names expected."""

    there: str
    declared: str
    files: tuple[str, ...] = ONE


def t(*parts: str, name: str = "VARCHAR(20) NOT NULL", size: str = "INTEGER") -> str:
    """Return a table with a few columns, and more parts where there are any."""
    columns = ("id UUID PRIMARY KEY", f"name {name}", f"size {size}", "parent_id UUID", *parts)
    return f"CREATE TABLE t ({', '.join(columns)});"


TABLES: Final = {
    "new_table": Case(
        PARENT,
        f"""{PARENT}
        CREATE TABLE fresh (
            id UUID PRIMARY KEY DEFAULT gen_random_uuid(), name VARCHAR(20) NOT NULL DEFAULT 'x', n SMALLINT,
            parent_id UUID NOT NULL REFERENCES parent ON DELETE CASCADE,
            at TIMESTAMPTZ NOT NULL DEFAULT now(),
            facts JSONB DEFAULT '{{}}', price NUMERIC(10,2), code CHAR(3), serial BIGSERIAL, day TIMESTAMP(3),
            words TEXT[], "Odd name" DOUBLE PRECISION, who INTEGER GENERATED ALWAYS AS IDENTITY,
            twice NUMERIC GENERATED ALWAYS AS (price * 2) STORED, sorted TEXT COLLATE "C", clock TIME,
            CONSTRAINT fresh_name_key UNIQUE (name, n),
            CONSTRAINT fresh_n_check CHECK (n > 0 AND name <> '(;'),
            CONSTRAINT words_check CHECK (name IN ('x', 'it''s', 'z')));
        CREATE INDEX fresh_at ON fresh (at DESC, n) WHERE name = 'x' AND n IS NOT NULL;
        CREATE UNIQUE INDEX fresh_lower ON fresh (lower(name)) INCLUDE (n);
        CREATE INDEX fresh_facts ON fresh USING gin (facts);
        COMMENT ON TABLE fresh IS 'it''s new';
        COMMENT ON COLUMN fresh.n IS 'a count'""",
    ),
    "dropped_table": Case(
        f"{PARENT} {t('FOREIGN KEY (parent_id) REFERENCES parent')} CREATE INDEX i ON t (size)", PARENT
    ),
    "renamed_table": Case(PARENT, PARENT.replace("parent", "parents"), REMOVED),
    "tables_in_a_circle": Case(PARENT, f"{PARENT} {CIRCLE}"),
    "dropped_tables_in_a_circle": Case(f"{PARENT} {CIRCLE}", PARENT),
    "oddly_named": Case(
        'CREATE TABLE "My table" (id UUID PRIMARY KEY, "Size in" INTEGER, "select" TEXT)',
        """CREATE TABLE "My table" (id UUID PRIMARY KEY, "Size in" INTEGER NOT NULL,
        "select" TEXT CHECK ("select" IN ('a', 'b')), "New one" TEXT CONSTRAINT "A key" UNIQUE);
        CREATE INDEX "An index" ON "My table" ("Size in")""",
        BUILT,
    ),
    "long_texts": Case(
        t(),
        f"""{t(f"story TEXT DEFAULT '{LONG}'", f"CONSTRAINT c CHECK (name <> '{LONG}' OR size > 1)")}
        COMMENT ON TABLE t IS '{LONG}
        {LONG}'""",
        PROVED,
    ),
    "comments": Case(
        f"{t()} COMMENT ON TABLE t IS 'old'; COMMENT ON COLUMN t.size IS 'gone'",
        f"""{t("CONSTRAINT c CHECK (size > 0)")}
        COMMENT ON TABLE t IS 'new; "public.t" and public.t';
        CREATE INDEX i ON t (size);
        COMMENT ON INDEX i IS 'an index'; COMMENT ON CONSTRAINT c ON t IS 'why'""",
        BUILT,
    ),
}

COLUMNS: Final = {
    "column": Case(t(), t("extra VARCHAR(50)")),
    "column_with_default": Case(t(), t("extra INTEGER NOT NULL DEFAULT 7")),
    "column_with_now": Case(t(), t("extra TIMESTAMPTZ NOT NULL DEFAULT now()")),
    "column_with_volatile_default": Case(t(), t("extra UUID NOT NULL DEFAULT gen_random_uuid()"), FILLED),
    "column_with_unknown_function": Case(
        t(), t("extra BYTEA DEFAULT sha256(pg_notification_queue_usage()::text::bytea)")
    ),
    "nullable_column_with_volatile_default": Case(t(), t("extra UUID DEFAULT gen_random_uuid()")),
    "required_column": Case(t(), t("extra TEXT NOT NULL"), FILLED),
    "serial": Case(t(), t("extra SERIAL")),
    "identity": Case(t(), t("extra BIGINT GENERATED ALWAYS AS IDENTITY")),
    "generated": Case(t(), t("extra INTEGER GENERATED ALWAYS AS (size + 1) STORED")),
    "collated": Case(t(), t('extra TEXT COLLATE "C"')),
    "column_with_all": Case(
        f"{PARENT} {t()}",
        f"""{PARENT} {t("extra UUID CONSTRAINT k UNIQUE REFERENCES parent CHECK (extra <> id)")}
        CREATE INDEX by_extra ON t (extra)""",
        BUILT,
    ),
    "dropped_column": Case(t("extra TEXT"), t()),
    "dropped_required_column": Case(t("extra TEXT NOT NULL"), t(), REMOVED),
    "dropped_serial": Case(t("extra SERIAL"), t()),
    "dropped_column_with_default": Case(t("extra TEXT NOT NULL DEFAULT 'a'"), t()),
    "dropped_column_with_all": Case(
        f"""{PARENT} {t("extra UUID NOT NULL CONSTRAINT k UNIQUE REFERENCES parent CHECK (extra <> id)")}
        CREATE INDEX by_extra ON t (extra); COMMENT ON COLUMN t.extra IS 'x'""",
        f"{PARENT} {t()}",
        ("change", "change_indexes", "change_removed"),
    ),
    "renamed_column": Case(t("old TEXT"), t("new TEXT"), REMOVED),
    "wider_varchar": Case(t(), t(name="VARCHAR(40) NOT NULL")),
    "varchar_to_text": Case(t(), t(name="TEXT NOT NULL")),
    "checked_varchar_to_text": Case(
        t("CONSTRAINT c CHECK (name IN ('a', 'b'))"),
        t("CONSTRAINT c CHECK (name IN ('a', 'b'))", name="TEXT NOT NULL"),
        PROVED,
    ),
    "checked_wider_varchar": Case(
        t("CONSTRAINT c CHECK (name IN ('a', 'b'))", "CONSTRAINT d CHECK (size > 0)"),
        t(
            "CONSTRAINT c CHECK (name IN ('a', 'b'))",
            "CONSTRAINT d CHECK (size > 0)",
            name="VARCHAR(40) NOT NULL",
        ),
        PROVED,
    ),
    "narrower_varchar": Case(t(), t(name="VARCHAR(10) NOT NULL")),
    "text_to_uuid": Case(t("c TEXT"), t("c UUID")),
    "bigger_serial": Case(t("c SERIAL"), t("c BIGSERIAL")),
    "rewriting_type": Case(t(), t(size="BIGINT")),
    "type_with_default": Case(t("c VARCHAR(5) NOT NULL DEFAULT '12'"), t("c INTEGER NOT NULL DEFAULT 12")),
    "type_loses_default": Case(t("c VARCHAR(5) DEFAULT 'x'"), t("c TEXT")),
    "indexed_type": Case(
        f"{t()} CREATE INDEX i ON t (size) WHERE size > 3",
        f"{t(size='BIGINT')} CREATE INDEX i ON t (size) WHERE size > 3",
    ),
    "set_default": Case(t(), t(size="INTEGER DEFAULT 5")),
    "changed_default": Case(t("c TEXT DEFAULT 'a with b'"), t("c TEXT DEFAULT 'it''s'")),
    "dropped_default": Case(t("c TEXT DEFAULT 'a DEFAULT b'"), t("c TEXT")),
    "required": Case(t(), t(size="INTEGER NOT NULL"), PROVED),
    "no_longer_required": Case(t(size="INTEGER NOT NULL"), t()),
}

CONSTRAINTS: Final = {
    "check": Case(t(), t("CONSTRAINT c CHECK (name IN ('a', 'b'))"), PROVED),
    "edited_check": Case(
        t("CONSTRAINT c CHECK (name IN ('a', 'b'))"),
        t("CONSTRAINT c CHECK (name IN ('a', 'b', 'c'))"),
        PROVED,
    ),
    "other_check": Case(
        t(r"CONSTRAINT c CHECK (size > 0 OR (name)::text ~ '^\d+$')"),
        t("CONSTRAINT d CHECK (name NOT IN ('a', 'b') AND NOT (size = 1))"),
        PROVED,
    ),
    "dropped_check": Case(t("CONSTRAINT c CHECK (size IN (1, 2))"), t()),
    "proved_check": Case(
        f"{t()} ALTER TABLE t ADD CONSTRAINT c CHECK (size > 0) NOT VALID", t("CONSTRAINT c CHECK (size > 0)")
    ),
    "foreign_key": Case(
        f"{PARENT} {t()}",
        f"{PARENT} {t('FOREIGN KEY (parent_id) REFERENCES parent ON DELETE SET NULL')}",
        PROVED,
    ),
    "foreign_key_to_new_table": Case(
        t(), f"{PARENT} {t('FOREIGN KEY (parent_id) REFERENCES parent')}", PROVED
    ),
    "foreign_key_to_new_key": Case(
        f"{PARENT} {t()}",
        f"{PARENT} ALTER TABLE parent ADD UNIQUE (code); {t('FOREIGN KEY (size) REFERENCES parent (code)')}",
        ("change", "change_validated", "change_referring", "change_proved"),
    ),
    "edited_foreign_key": Case(
        f"{PARENT} {t('FOREIGN KEY (parent_id) REFERENCES parent ON DELETE CASCADE')}",
        f"{PARENT} {t('FOREIGN KEY (parent_id) REFERENCES parent DEFERRABLE INITIALLY DEFERRED')}",
        PROVED,
    ),
    "dropped_foreign_key_and_table": Case(
        f"{PARENT} {t('FOREIGN KEY (parent_id) REFERENCES parent')}", t(), REMOVED
    ),
    "unique": Case(t(), t("CONSTRAINT u UNIQUE (name, size)"), PROVED),
    "deferrable_unique": Case(
        t(), t("CONSTRAINT u UNIQUE NULLS NOT DISTINCT (size) INCLUDE (name) DEFERRABLE"), PROVED
    ),
    "edited_unique": Case(t("CONSTRAINT u UNIQUE (name, size)"), t("CONSTRAINT u UNIQUE (name)"), PROVED),
    "dropped_unique": Case(t("CONSTRAINT u UNIQUE (name, size)"), t()),
    "unique_instead_of_check": Case(
        t("CONSTRAINT k CHECK (size > 0)"), t("CONSTRAINT k UNIQUE (size)"), BUILT
    ),
    "check_instead_of_unique": Case(
        t("CONSTRAINT k UNIQUE (size)"), t("CONSTRAINT k CHECK (size > 0)"), PROVED
    ),
    "all_at_once": Case(
        f"{PARENT} {t()}",
        f"""{PARENT} {t("UNIQUE (size)", "CHECK (size > 0)", size="INTEGER NOT NULL")}
        ALTER TABLE t ADD FOREIGN KEY (parent_id) REFERENCES parent""",
        BUILT,
    ),
    "wider_primary_key": Case(
        "CREATE TABLE t (id UUID, name VARCHAR(20), CONSTRAINT t_pkey PRIMARY KEY (id))",
        "CREATE TABLE t (id UUID, name VARCHAR(20), CONSTRAINT t_pkey PRIMARY KEY (id, name))",
        BUILT,
    ),
    "dropped_primary_key": Case(t(), t().replace("PRIMARY KEY", "NOT NULL")),
    "exclusion": Case(t(), t("CONSTRAINT e EXCLUDE USING btree (size WITH =) WHERE (size > 1)")),
    "dropped_exclusion": Case(t("CONSTRAINT e EXCLUDE (size WITH =)"), t()),
}

INDEXES: Final = {
    "index": Case(
        t(),
        f"""{t()} CREATE INDEX i ON t (name DESC NULLS LAST, size) INCLUDE (id)
        WHERE size > 1 AND name IN ('a', 'b')""",
    ),
    "unique_index": Case(t(), f"{t()} CREATE UNIQUE INDEX i ON t (lower(name) text_pattern_ops)"),
    "dropped_index": Case(f"{t()} CREATE INDEX i ON t (size)", t()),
    "edited_index": Case(
        f"{t()} CREATE INDEX i ON t (size)",
        f"{t()} CREATE INDEX i ON t USING hash (size) WITH (fillfactor = 60)",
    ),
}

CASES: Final = {"tables": TABLES, "columns": COLUMNS, "constraints": CONSTRAINTS, "indexes": INDEXES}
