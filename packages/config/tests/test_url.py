"""ServiceUrl: strict about what it takes, exact about what it gives, silent about the password."""

import traceback
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sherpa.config import InvalidValueError, Secret, ServiceUrl, SslMode

TEXT = st.text(
    st.characters(exclude_characters="\0\ufffd", exclude_categories=["Cs"]), min_size=1, max_size=12
)
LABEL = r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?"
HOST = st.from_regex(rf"{LABEL}(\.{LABEL}){{0,2}}", fullmatch=True) | st.ip_addresses().map(str)
URLS = st.builds(
    ServiceUrl,
    scheme=st.sampled_from(["postgresql", "postgres"]),
    host=HOST,
    port=st.integers(1, 65535),
    username=TEXT,
    password=st.none() | TEXT.map(Secret),
    database=TEXT.filter(lambda name: "/" not in name),
    ssl_mode=st.none() | st.sampled_from(SslMode),
)


def parse_error(text: str) -> InvalidValueError:
    """Return the error that the text is refused with."""
    with pytest.raises(InvalidValueError) as caught:
        ServiceUrl.parse(text)
    return caught.value


def test_reads_every_part() -> None:
    """A full URL comes out in its decoded parts."""
    url = ServiceUrl.parse("postgresql://al%40ice:p%2Fw%25@db.internal:6543/choice?sslmode=require")

    assert ("postgresql", "al@ice", "p/w%", "db.internal", 6543, "choice", SslMode.REQUIRE) == (
        url.scheme,
        url.username,
        url.password and url.password.reveal(),
        url.host,
        url.port,
        url.database,
        url.ssl_mode,
    )


@pytest.mark.parametrize(
    ("text", "port", "database"),
    [
        ("postgresql://u@h/d", 5432, "d"),
        ("postgres://u@h:/d", 5432, "d"),
        ("redis://h", 6379, "0"),
        ("rediss://h/", 6379, "0"),
        ("redis://h:7000/5", 7000, "5"),
    ],
)
def test_fills_in_what_is_left_out(text: str, port: int, database: str) -> None:
    """The port and Redis's database have the usual defaults."""
    url = ServiceUrl.parse(text)

    assert (port, database) == (url.port, url.database)


def test_redis_needs_no_user() -> None:
    """Redis's URL may have a password alone."""
    url = ServiceUrl.parse("redis://:wonderland@h")

    assert ("", "redis://:***@h:6379/0", "redis://:wonderland@h:6379/0") == (
        url.username,
        str(url),
        url.reveal(),
    )


def test_ipv6_stands_in_brackets() -> None:
    """An IPv6 host is given without brackets and written with them."""
    url = ServiceUrl.parse("postgresql://u:p@[::1]:5432/d")

    assert ("::1", "postgresql://u:***@[::1]:5432/d") == (url.host, str(url))


@given(URLS)
def test_what_it_writes_it_reads(url: ServiceUrl) -> None:
    """Whatever characters the parts have, the revealed URL means the same."""
    assert url == ServiceUrl.parse(url.reveal())


def test_replace_changes_some_parts() -> None:
    """A changed copy keeps the other parts, the password too."""
    url = ServiceUrl.parse("postgresql://u:p@h/d").replace(database="other", port=5433)

    assert "postgresql://u:p@h:5433/other" == url.reveal()


def test_path_is_the_database_with_its_slash() -> None:
    """The path is what stands in the URL."""
    assert "/my%20db" == ServiceUrl.parse("postgresql://u@h/my%20db").path


def test_equality_is_by_parts() -> None:
    """Two spellings of one address are equal and hash alike; another password makes another URL."""
    one, other = ServiceUrl.parse("postgresql://u:p@h/d"), ServiceUrl.parse("postgresql://u:%70@H:5432/d")

    assert (one, hash(one)) == (other, hash(other))
    assert one != one.replace(password=Secret("q"))
    assert one != one.reveal()


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("localhost:5432/d", "is no URL"),
        ("postgresql:u:p@h/d", "is no URL"),
        ("mysql://u:p@h/d", "scheme that is none of"),
        ("postgresql+asyncpg://u:p@h/d", "scheme that is none of"),
        ("unix:///run/redis.sock", "scheme that is none of"),
        ("postgresql://u:p@/d", "names no host"),
        ("postgresql://u:p@a..b/d", "no name and no address"),
        ("postgresql://u:p@.b/d", "no name and no address"),
        ("redis://" + "a" * 64, "no name and no address"),
        ("redis://" + "a." * 127, "no name and no address"),
        ("postgresql:///d?host=/run/postgresql", "names no host"),
        ("postgresql://u:p@%2Frun%2Fpostgresql/d", "Unix socket is not supported"),
        ("postgresql://u:p@one,two/d", "several hosts"),
        ("postgresql://u:p@one:1,two:2/d", "several hosts"),
        ("postgresql://u:p@h:0/d", "port"),
        ("postgresql://u:p@h:65536/d", "port"),
        ("postgresql://u:p@h:-1/d", "port"),
        ("postgresql://u:p@h:٥٤/d", "port"),
        ("postgresql://u:p@::1/d", "IPv6 goes in brackets"),
        ("postgresql://u:p@[nonsense]/d", "is no URL"),
        ("postgresql://u:p@[v1.x]/d", "no IPv6"),
        ("postgresql://u:p@[fe80::1%25eth0]/d", "no IPv6"),
        ("redis://h/123456", "no database number"),
        ("postgresql://u:p@h", "names no database"),
        ("postgresql://u:p@h/", "names no database"),
        ("postgresql://u:p@h/d/e", "more than a database's name"),
        ("redis://h/zero", "no database number"),
        ("redis://h/0?ssl_cert_reqs=none", "options after a ?"),
        ("postgresql://u:p@h/d?sslmode=maybe", "sslmode that is none of"),
        ("postgresql://u:p@h/d?password=p", "options after a ?"),
        ("postgresql://u:p@h/d?sslmode=require&target_session_attrs=any", "sslmode"),
        ("postgresql://u:100%@h/d", "valid escape"),
        ("postgresql://u:%ff@h/d", "valid escape"),
        ("postgresql://u:%00@h/d", "valid escape"),
        ("postgresql://u:p w@h/d", "a space"),
        ("postgresql://u:p\nw@h/d", "control character"),
        ("postgresql://u:p\udc80w@h/d", "control character"),
    ],
)
def test_refuses_what_it_does_not_understand(text: str, wrong: str) -> None:
    """A URL that means something else than it seems to is refused with the reason."""
    assert wrong in str(parse_error(text))


@pytest.mark.parametrize("character", "/?#[]")
@pytest.mark.parametrize("password", ["{}wonderland", "wonder{}land", "5432{}wonderland", "wonderland{}"])
def test_an_unescaped_character_is_named_not_shown(password: str, character: str) -> None:
    """A password that cuts the URL short is refused, how to escape it is told, and no piece of it shown."""
    error = parse_error(f"postgresql://alice:{password.format(character)}@db/choice")

    assert "%2F" in str(error)
    assert "wonder" not in str(error)
    assert "land" not in str(error)


SCHEMES = st.sampled_from(["postgresql://", "postgres://", "redis://", "rediss://", "postgresql:", ""])


@given(SCHEMES, st.text(st.characters() | st.sampled_from("@:/?#[]%,. \n"), max_size=40))
@example("postgresql://", "u:p@h℀x/d")  # urlsplit's own error quotes this netloc
def test_raises_nothing_but_its_own_error(scheme: str, rest: str) -> None:
    """Any text is either read or refused with InvalidValueError."""
    with suppress(InvalidValueError):
        ServiceUrl.parse(scheme + rest)


@given(
    st.text("abcdefgh", min_size=12, max_size=20),
    st.sampled_from(
        [
            "postgresql://u:{}/@h/d",
            "postgresql://u:{}℀@h/d",
            "postgresql://u:[{}@h/d",
            "postgresql://u:{}@h:port/d",
            "postgresql://u:12?{}@h/d",
            "postgresql://u:12/{}@h/d",
            "postgresql://u:p@h/d?password={}",
            "postgresql://u:{}%@h/d",
            "nonsense://u:{}@h/d",
            "{}",
        ]
    ),
)
def test_an_error_knows_nothing_of_the_password(password: str, form: str) -> None:
    """Neither the message, nor what is chained to it, nor the variables of our frames hold the password."""
    error = parse_error(form.format(password))
    ours = [
        frame for frame in traceback.walk_tb(error.__traceback__) if "sherpa" in frame[0].f_code.co_filename
    ]

    assert error.__context__ is None
    assert password not in f"{error!r} {error}"
    assert all(
        password not in repr(frame.f_locals) for frame, _ in ours if "tests" not in frame.f_code.co_filename
    )
