"""Applications and clients for the tests: on real servers, or without any where nothing is to be opened."""

import io
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from sherpa.api.app import create_app
from sherpa.api.settings import ApiSettings
from sherpa.config import (
    DatabaseSettings,
    FeatureSettings,
    LogDirectives,
    LogFormat,
    LoggingSettings,
    RedisSettings,
    ServerSettings,
    ServiceUrl,
)
from sherpa.telemetry.logging import configure
from sherpa.telemetry.pipeline import pipeline

type AppFactory = Callable[..., Starlette]


class Lines(io.StringIO):
    """What was logged, as JSON objects."""

    @property
    def events(self) -> list[dict[str, object]]:
        """Return every line."""
        return [json.loads(text) for text in self.getvalue().split("\n")[:-1]]

    def of(self, logger: str) -> list[dict[str, object]]:
        """Return the lines of one logger."""
        return [event for event in self.events if event["logger"] == logger]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Return what is logged at debug level during the test; logging is put back after it."""
    root = logging.getLogger()
    handlers, level, render, service = list(root.handlers), root.level, pipeline.render, pipeline.service
    lines = Lines()
    settings = LoggingSettings(
        level=LogDirectives.parse("debug,asyncio=warning,httpcore=warning,httpx=warning"),
        format=LogFormat.JSON,
    )
    configure(settings, service="sherpa-api", stream=lines)
    yield lines
    configure(LoggingSettings(), service="sherpa-api")
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    pipeline.render, pipeline.service, pipeline.sink.stream = render, service, None


@pytest.fixture
def make_app() -> AppFactory:
    """Return a function that builds the application with routes of the test's, in service, nothing opened."""

    def make_app(routes: Sequence[BaseRoute] = (), *, serving: bool = True, **server: object) -> Starlette:
        settings = ApiSettings(
            server=ServerSettings(**server),  # type: ignore[arg-type] # a test gives what it is about
            database=DatabaseSettings(url=ServiceUrl.parse("postgresql://nobody@127.0.0.1:1/none")),
            redis=RedisSettings(url=ServiceUrl.parse("redis://127.0.0.1:1/0")),
            logging=LoggingSettings(),
            features=FeatureSettings(),
        )
        app = create_app(settings)
        app.router.routes.extend(routes)
        if serving:
            app.state.lifecycle.serve()
        return app

    return make_app


@asynccontextmanager
async def client_of(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """Lend a client that calls the application without a server between."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.fixture
def connect() -> Callable[[Starlette], object]:
    """Return what lends a client of an application, for `async with`."""
    return client_of


def settings_for(database: DatabaseSettings, redis: RedisSettings) -> ApiSettings:
    """Return settings for these servers, the rest as by default."""
    return ApiSettings(
        server=ServerSettings(),
        database=database,
        redis=redis,
        logging=LoggingSettings(),
        features=FeatureSettings(),
    )


@pytest.fixture
def make_settings() -> Callable[[DatabaseSettings, RedisSettings], ApiSettings]:
    """Return the way from two servers to settings."""
    return settings_for


@asynccontextmanager
async def open_app_of(settings: ApiSettings) -> AsyncIterator[Starlette]:
    """Open the application for the block."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
def open_app() -> Callable[[ApiSettings], object]:
    """Return what opens an application, for `async with`."""
    return open_app_of


@pytest.fixture
def api_settings(database_settings: DatabaseSettings, redis_settings: RedisSettings) -> ApiSettings:
    """Return settings for this test's own database and Redis."""
    return settings_for(database_settings, redis_settings)


@pytest.fixture
async def app(api_settings: ApiSettings) -> AsyncIterator[Starlette]:
    """Return the application with everything open."""
    async with open_app_of(api_settings) as app:
        yield app


@pytest.fixture
async def client(app: Starlette) -> AsyncIterator[httpx.AsyncClient]:
    """Return a client of the application with everything open."""
    async with client_of(app) as client:
        yield client
