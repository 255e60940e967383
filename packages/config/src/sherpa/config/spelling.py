"""Finds the variable of ours that a misspelt name was meant for, and leaves other programs' names alone."""

from collections.abc import Iterable
from difflib import SequenceMatcher

# A slip stays inside a word (`DATABSE_URL`), while a foreign name has a word of its own (`DATABASE_USER`,
# `STRIPE_API_BASE`): compared as a whole, both would look alike. ULR and URI reach 0.67, USER 0.57. Of a long
# word more must be right: DOCKER_HOST, which many have set, is 0.67 like WORKER_HOST.
_SAME_WORD = 0.65
_SAME_LONG_WORD = 0.75
_LONG_WORD = 5
_SAME_FAMILY = 0.85
# HOST and PORT have too many honest neighbours (PATH, HOSTS, POST); ENVIRONMENT has none.
_SHORTEST_SINGLE_WORD = 8
_SHORTEST_WORD = 3
_UNIT = "_SECONDS"


def likely_name(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that `name` was meant for, or None.

    A known name such as `FEATURE_*` stands for all that begin so.
    """
    candidates = {meant: score for meant in known if (score := _likeness(name, meant))}
    best = max(candidates, key=lambda meant: candidates[meant], default=None)
    if best and best.endswith("*"):
        return best.removesuffix("*") + name.upper().partition("_")[2]
    return best


def _likeness(name: str, meant: str) -> float:
    """Return how alike the names are, up to 1; 0 when one is not a slip for the other."""
    upper = name.upper()
    if meant.endswith("*"):
        return _family_likeness(upper, meant.removesuffix("*"))
    if "_" not in meant and len(meant) < _SHORTEST_SINGLE_WORD:
        return 0
    if upper.replace("_", "") == meant.replace("_", "") or upper + _UNIT == meant:
        return 1
    # Another number of words is another name: REDIS_CLUSTER_URL is no slip for REDIS_URL.
    words, meant_words = upper.split("_"), meant.split("_")
    if len(words) != len(meant_words) or not all(map(_same_word, words, meant_words)):
        return 0
    return _ratio(upper, meant)


def _family_likeness(upper: str, prefix: str) -> float:
    word, _, rest = upper.partition("_")
    likeness = _ratio(word, prefix.rstrip("_"))
    return likeness if rest and likeness >= _SAME_FAMILY else 0


def _same_word(word: str, meant: str) -> bool:
    if sorted(word) == sorted(meant):  # letters in another order: KYE
        return True
    needed = _SAME_LONG_WORD if len(meant) >= _LONG_WORD else _SAME_WORD
    return len(meant) >= _SHORTEST_WORD and _ratio(word, meant) >= needed


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()
