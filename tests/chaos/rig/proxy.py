"""A TCP proxy in front of a server: it cuts connections, refuses them, holds bytes back, or delays them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from sherpa.devstack import ports

CHUNK_BYTES = 65_536


@dataclass
class Proxy:
    """Passes bytes between its own port and a server's. Times are in seconds."""

    target: int
    delay_seconds: float = 0.0
    port: int = 0
    _flowing: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    _open: set[asyncio.StreamWriter] = field(default_factory=set, repr=False)
    _refusing: bool = False

    def cut(self) -> int:
        """Reset all connections; new ones are accepted. Return how many there were."""
        writers = list(self._open)
        for writer in writers:
            writer.transport.abort()
        return len(writers) // 2

    def refuse(self) -> None:
        """Reset all connections, and each new one, until `accept`."""
        self._refusing = True
        self.cut()

    def accept(self) -> None:
        """Take connections again."""
        self._refusing = False

    def stall(self) -> None:
        """Let no byte pass in either direction, with all connections open, until `flow`."""
        self._flowing.clear()

    def flow(self) -> None:
        """Let bytes pass, those that were held back first."""
        self._flowing.set()

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator["Proxy"]:
        """Listen until the block ends."""
        self._flowing.set()
        listener = await asyncio.start_server(self._pass_on, ports.LOOPBACK, 0)
        self.port = listener.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            listener.close()
            self._flowing.set()
            self.cut()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(ports.LOOPBACK, self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, far_writer}
        self._open |= pair
        # Whichever way ends first, the other one has nobody to talk to.
        ways = [
            asyncio.create_task(self._pump(reader, far_writer)),
            asyncio.create_task(self._pump(far_reader, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        self._open -= pair
        for each in pair:
            each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                await self._flowing.wait()
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                writer.write(data)
                await writer.drain()
