"""The scripts that the server runs as one step each. They use no command that is younger than Redis 7.0."""

from dataclasses import dataclass, field
from hashlib import sha1
from importlib.resources import files

from redis.exceptions import NoScriptError

from sherpa.events.brokers.link import Argument, Link, Reply


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name that a server which has seen it knows it by."""

    text: str
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", sha1(self.text.encode(), usedforsecurity=False).hexdigest())

    async def run(self, link: Link, keys: tuple[str, ...], *arguments: Argument) -> Reply:
        """Run the script where the first key is; all keys are in one slot.

        Sending it a second time after NOSCRIPT is safe: the server has not run anything.
        """
        try:
            return await link.command(keys[0], "EVALSHA", self.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await link.command(keys[0], "EVAL", self.text, len(keys), *keys, *arguments)


def _load(name: str) -> Script:
    return Script(files(__package__).joinpath(f"scripts/{name}.lua").read_text(encoding="utf-8"))


APPEND, CLAIM, READ, REAP, STATE, TAKE, TRIM = map(
    _load, ("append", "claim", "read", "reap", "state", "take", "trim")
)
