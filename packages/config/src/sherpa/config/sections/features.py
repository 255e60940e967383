"""Feature flags: what is switched on by a FEATURE_ variable."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from sherpa.config.declaration import Rule, variable
from sherpa.config.kinds import boolean


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSettings(Mapping[str, bool]):
    """Feature flags by name: FEATURE_DARK_MODE=true is `features["dark_mode"]`.

    `enabled` is for code that asks: a flag that nobody has set is off.
    """

    flags: tuple[tuple[str, bool], ...] = field(
        default=(),
        metadata=variable("FEATURE_*", boolean(), "Each switches the feature that its name says."),
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    def enabled(self, name: str) -> bool:
        """Return whether the flag is set and true."""
        return self.get(name, False)

    def __getitem__(self, name: str) -> bool:
        return dict(self.flags)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(dict(self.flags))

    def __len__(self) -> int:
        return len(self.flags)
