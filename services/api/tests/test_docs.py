"""What docs/http.md shows is what the API does: its limits, its problems, the shape of its answers."""

import json
import re
from pathlib import Path

import pytest

from sherpa.api import health, inflight, listener, problems, readiness, resources
from sherpa.api.app import limits_of
from sherpa.config import ServerSettings

PAGE = (Path(__file__).parents[3] / "docs" / "http.md").read_text(encoding="utf-8")
ROWS: list[list[str]] = [
    [cell.strip() for cell in row.split(" | ")] for row in re.findall(r"^\| (.+) \|$", PAGE, re.MULTILINE)
]
LIMITS = limits_of(ServerSettings())
REQUEST_SECONDS = LIMITS.request_timeout_seconds


def cell(first: str) -> str:
    """Return the second cell of the row that begins so."""
    [second] = [row[1] for row in ROWS if row[0] == first]
    return second


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("headers, with the request line", f"{listener.HEADER_BYTES // 1024} KiB, 100 of them"),
        ("time for headers; idle kept connection", f"{listener.HEADER_SECONDS:.0f} s"),
        ("connections", f"{listener.MOST_CONNECTIONS:,}, or what the hard `ulimit -n` leaves"),
        ("time in which nothing sent is taken", f"{listener.UNREAD_SECONDS} s, on Linux"),
        ("body", f"{LIMITS.body_bytes // 1024**2} MiB, by its length or as it comes"),
        (
            "time for the body",
            f"{LIMITS.body_timeout_seconds:.0f} s from the first read, or the request's time if shorter",
        ),
        (
            "time for the request",
            f"`REQUEST_TIMEOUT_SECONDS` ({REQUEST_SECONDS:.0f}) + {inflight.SWEEP_SECONDS:g} s at most",
        ),
    ],
)
def test_limits_are_the_pages(limit: str, expected: str) -> None:
    """Each limit stands on the page with the number that holds."""
    assert expected == cell(limit)


def test_waits_are_the_pages() -> None:
    """How long a check and the start may take is what the page says."""
    assert f"PostgreSQL waited for ({resources.OPEN_SECONDS:.0f} s)" in PAGE
    assert ("one second each" in PAGE) is (readiness.CHECK_SECONDS == 1)


def test_problems_are_the_pages() -> None:
    """The page's table has each problem that has a slug, with its status, and no other."""
    listed = {(int(row[0]), row[1].strip("`")) for row in ROWS if re.fullmatch(r"\d{3}", row[0])}

    assert listed == {(int(kind.status), kind.slug) for kind in problems.KINDS.values()}


def test_problem_that_is_shown_is_one() -> None:
    """The page's example of a problem is what the client gets, but for the request id."""
    [shown] = [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) if "title" in block
    ]
    error = next(cls for cls, kind in problems.KINDS.items() if shown["type"].endswith(f":{kind.slug}"))

    told = json.loads(bytes(problems.respond(error(), shown["request_id"]).body))

    assert shown == told


def test_health_paths_are_the_pages() -> None:
    """The page's table has the paths that there are."""
    paths = {path for row in ROWS for path in re.findall(r"^`(/health/\w+)`$", row[0])}

    assert {route.path for route in health.ROUTES} == paths
