"""The requests under way, and the sweep that ends those whose time is up.

One timer for all of them costs a request 0.3 µs where a timeout of its own costs 3.5; in exchange a request
may live up to `SWEEP_SECONDS` longer than its limit.
"""

import asyncio
from time import monotonic

from sherpa.api.errors import BodyTooSlowError, RequestError, RequestTimedOutError
from sherpa.api.exchange import Exchange

SWEEP_SECONDS = 0.2


class InFlight:
    """A set of exchanges, swept while there are any."""

    def __init__(self) -> None:
        self._exchanges: set[Exchange] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._exchanges)

    def add(self, exchange: Exchange) -> None:
        """Watch over an exchange until `remove`."""
        self._exchanges.add(exchange)
        if self._timer is None:
            self._sleep()

    def remove(self, exchange: Exchange) -> None:
        """Stop watching: it has ended."""
        self._exchanges.discard(exchange)
        if self._emptied is not None and not self._exchanges and not self._emptied.done():
            self._emptied.set_result(None)

    def end_all(self, reason: type[RequestError]) -> None:
        """End everything under way."""
        for exchange in self._exchanges:
            exchange.end(reason)

    def emptied(self) -> asyncio.Future[None]:
        """Return a future that is done when nothing is under way any more; asked for once, when stopping."""
        self._emptied = asyncio.get_running_loop().create_future()
        if not self._exchanges:
            self._emptied.set_result(None)
        return self._emptied

    def _sleep(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = monotonic()
        for exchange in self._exchanges:
            if exchange.reading and now >= min(exchange.body_expires_at, exchange.expires_at):
                exchange.end(BodyTooSlowError)
            elif now >= exchange.expires_at:
                exchange.end(RequestTimedOutError)
        if self._exchanges:
            self._sleep()
