"""A worker whose role may not do everything: told, left out where it can't work, and back by itself."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import asyncpg
import pytest

from sherpa.config import DatabaseSettings, Secret
from sherpa.devstack.harness.worker import PostgresCluster

PAGE = Path(__file__).parents[4] / "docs" / "deployment.md"
HANDLER = "handler/welcome-email"


class Role(NamedTuple):
    """A role with the rights that the page lists, and a superuser's session on the same database."""

    name: str
    url: str
    superuser: asyncpg.Connection


@pytest.fixture
async def role(database_settings: DatabaseSettings, postgres_cluster: PostgresCluster) -> AsyncIterator[Role]:
    """Return a role that was granted what docs/deployment.md, *Rights*, says, and no more."""
    name, password = f"worker_{secrets.token_hex(4)}", secrets.token_hex(8)
    database = database_settings.url.database
    superuser = await asyncpg.connect(postgres_cluster.superuser_settings(database).url.reveal())
    await superuser.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    await superuser.execute(f'GRANT CONNECT ON DATABASE "{database}" TO {name}')
    for grant in re.findall(r"^GRANT .* TO worker;$", PAGE.read_text(), re.MULTILINE):
        await superuser.execute(grant.replace("TO worker;", f"TO {name}"))
    yield Role(
        name, database_settings.url.replace(username=name, password=Secret(password)).reveal(), superuser
    )
    await superuser.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")
    await superuser.close()


def seats(worker: Any, role: str, number: int) -> None:
    """Wait until the worker has so many seats of the role."""
    worker.wait_until_metric(f'sherpa_events_seats{{role="{role}"}} {number}.0')


async def test_the_pages_rights_are_enough(start: Any, addresses: Any, role: Role) -> None:
    """With them a worker is ready, handles, publishes what its handlers ask for, and lets members expire."""
    member = uuid4()
    await role.superuser.execute(
        "INSERT INTO memberships (id, user_id, tier, status, current_period_start, current_period_end)"
        " VALUES ($1, $2, 'monthly', 'active', now() - interval '1 month', now())",
        member,
        uuid4(),
    )
    await role.superuser.execute(
        "INSERT INTO outbox (id, aggregate_type, aggregate_id, event_type, payload)"
        " VALUES (gen_random_uuid(), 'membership', $1, 'membership.created', $2)",
        member,
        json.dumps(
            {
                "user_id": str(uuid4()),
                "tier": "free",
                "status": "active",
                "period_start": None,
                "period_end": None,
            }
        ),
    )

    worker = start(**{**addresses, "DATABASE_URL": role.url})

    worker.wait_until_state("ready")
    for handler in ("welcome-email", "send-email"):
        worker.wait_until_metric(f'sherpa_events_handled_total{{handler="{handler}"}} 1.0')
    for duty in ("prune", "expire-memberships"):
        worker.wait_until(
            lambda duty=duty: f'last_run_timestamp_seconds{{duty="{duty}"}}' in worker.ask("/metrics").text,
            duty,
        )
    assert "permission denied" not in worker.text
    assert "expired" == await role.superuser.fetchval("SELECT status FROM memberships WHERE id = $1", member)


async def test_who_lacks_a_right_leaves_the_seat(start: Any, addresses: Any, role: Role) -> None:
    """It is degraded and says what to grant, another worker has its seat, and after the GRANT all is well."""
    await role.superuser.execute(f"REVOKE INSERT ON processed_events FROM {role.name}")
    unable = start(**{**addresses, "DATABASE_URL": role.url})
    answer = unable.wait_until_state("degraded")
    seats(unable, "relay", 1)
    seats(unable, HANDLER, 0)  # also while nobody else is there to take it
    able = start(**addresses, WORKER_RELAY="false")

    seats(able, HANDLER, 1)
    seats(unable, HANDLER, 0)
    seats(unable, "relay", 1)
    told = unable.text.count(f"GRANT INSERT ON processed_events TO {role.name}")
    await role.superuser.execute(f"GRANT INSERT ON processed_events TO {role.name}")
    back = unable.wait_until_state("ready")

    assert (200, "missing", ["INSERT on processed_events"]) == (
        answer.status,
        answer.json["checks"]["rights"]["status"],
        answer.json["checks"]["rights"]["missing"],
    )
    assert (1, "granted") == (told, back.json["checks"]["rights"]["status"])
    await asyncio.to_thread(able.signal().exit_code)
    seats(unable, HANDLER, 1)
