"""A plain redis-cli, for machines that have none: `python -m sherpa.devstack.rediscli`.

It takes the few options of the real one that this project uses, and the password from REDISCLI_AUTH.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Iterator, Sequence

from sherpa.devstack.resp import RedisConnection, RedisReplyError, Reply

WELL, FAILED = 0, 1


def main(argv: Sequence[str]) -> int:
    """Run one command, or those that are typed. Returns 1 when one command fails or nobody answers."""
    options = _parser().parse_args(argv)
    try:
        with RedisConnection(
            options.host,
            options.port,
            username=options.user,
            password=os.environ.get("REDISCLI_AUTH"),
            tls=options.tls,
            timeout=3600.0,
        ) as connection:
            if options.database:
                connection.ask("SELECT", str(options.database))
            if options.command:
                return _run(connection, options.command)
            return _converse(connection, f"{options.host}:{options.port}> ")
    except (OSError, RedisReplyError) as error:
        print(f"{options.host}:{options.port}: {error}", file=sys.stderr)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="redis-cli", add_help=False)
    parser.add_argument("-h", dest="host", default="127.0.0.1")
    parser.add_argument("-p", dest="port", type=int, default=6379)
    parser.add_argument("-n", dest="database", type=int, default=0)
    parser.add_argument("--user")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser


def _converse(connection: RedisConnection, prompt: str) -> int:
    for line in _typed(prompt if sys.stdin.isatty() else ""):
        try:
            words = shlex.split(line)
        except ValueError as error:
            print(f"(error) {error}")
            continue
        if words and words[0].lower() in {"quit", "exit"}:
            break
        if words:
            _run(connection, words)
    return WELL


def _typed(prompt: str) -> Iterator[str]:
    while True:
        try:
            yield input(prompt)
        except EOFError:
            return


def _run(connection: RedisConnection, words: Sequence[str]) -> int:
    try:
        print(spell(connection.ask(*words)))
    except RedisReplyError as error:
        print(f"(error) {error}")
        return FAILED
    return WELL


def spell(reply: Reply, indent: str = "") -> str:
    """A reply as redis-cli shows it."""
    match reply:
        case None:
            return "(nil)"
        case int():
            return f"(integer) {reply}"
        case bytes():
            return reply.decode(errors="backslashreplace")
        case []:
            return "(empty array)"
    width = len(str(len(reply)))
    deeper = indent + " " * (width + 2)
    items = [f"{number:>{width}}) {spell(item, deeper)}" for number, item in enumerate(reply, 1)]
    return f"\n{indent}".join(items)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
