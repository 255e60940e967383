"""What every value that holds a secret has in common: it can't be changed, copied apart, or pickled."""

from typing import Never, Self


class Sealed:
    """Refuse change and pickling; a copy, also a deep one, is the object itself.

    Heirs are no dataclasses on purpose: `dataclasses.asdict` would take them apart.
    """

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> Never:
        raise AttributeError(f"a {type(self).__name__} can't be changed: make a new one")

    def __delattr__(self, name: str) -> Never:
        raise AttributeError(f"a {type(self).__name__} can't be changed: make a new one")

    # copy and dataclasses.asdict ask for these; without them they would go through the pickling below.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __getstate__(self) -> Never:
        raise TypeError(
            f"a {type(self).__name__} is never pickled: read the settings again in the other process"
        )

    def __reduce_ex__(self, protocol: object) -> Never:
        self.__getstate__()
