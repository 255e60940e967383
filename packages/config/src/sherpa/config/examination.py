"""Reads the asked-for sections from the sources: values, their origins, and everything wrong."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sherpa.config.choices import Environment
from sherpa.config.declaration import Rule, Variable, variables_of
from sherpa.config.errors import Fault
from sherpa.config.masking import mask_text
from sherpa.config.placeholders import is_placeholder
from sherpa.config.reader import Reader
from sherpa.config.secret import MASK
from sherpa.config.sections.server import ServerSettings
from sherpa.config.sources import FILE_SUFFIX, NOWHERE, Found, Sources

DEFAULT = "default"
_ENVIRONMENT = next(variable for variable in variables_of(ServerSettings) if variable.field == "environment")


@dataclass(frozen=True, slots=True)
class Entry:
    """One variable after reading: what was found for it, what is wrong with that, else the value."""

    variable: Variable
    found: Found
    wrong: str = ""
    value: object = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """The text in effect, a secret masked; empty when there is none."""
        if self.found.text is None:
            return self.variable.default_text
        if self.variable.kind.secret and not self.wrong:
            return str(self.value)
        return mask_text(self.found.text, secret=self.variable.kind.secret)

    @property
    def origin(self) -> str:
        """Where the text came from."""
        defaulted = self.found.origin == NOWHERE and self.variable.default_text
        return DEFAULT if defaulted else self.found.origin

    def fault(self, wrong: str, right: str = "") -> Fault:
        """Return a fault of this variable."""
        name = self.variable.name
        searched = f"looked in the environment, {name}{FILE_SUFFIX} and .env"
        origin = searched if self.origin == NOWHERE else self.origin
        return Fault(name, wrong, right or self.variable.kind.right, origin)


@dataclass(frozen=True, slots=True)
class Examination:
    """The entries of the asked-for sections, in the order of their declaration, and all faults."""

    entries: tuple[Entry, ...]
    faults: tuple[Fault, ...]

    def of(self, section: type) -> tuple[Entry, ...]:
        """Return the section's entries."""
        return tuple(entry for entry in self.entries if entry.variable.section is section)

    def build[T](self, section: type[T]) -> T:
        """Make the section of its values; only to be asked for when there are no faults."""
        mine = self.of(section)
        values = {entry.variable.field: entry.value for entry in mine}
        # A family's field takes its members together, as pairs of name and value.
        for family in {entry.variable.field for entry in mine if entry.variable.member}:
            values[family] = tuple((e.variable.member, e.value) for e in mine if e.variable.field == family)
        return section(**values)


def examine(sections: Iterable[type], sources: Sources) -> Examination:
    """Read the sections. ENVIRONMENT is always read: production's rules hold for every process."""
    sections = tuple(sections)
    declared = [variable for section in sections for variable in variables_of(section)]
    if _ENVIRONMENT not in declared:
        declared.append(_ENVIRONMENT)
    entries = _read([member for variable in declared for member in _members(variable, sources)], sources)
    faults = [*sources.dotenv.faults, *_own_faults(entries), *_broken_rules(sections, entries)]
    if _value(entries, _ENVIRONMENT) is Environment.PRODUCTION:
        faults += _placeholders(entries)
    return Examination(tuple(entries), tuple(faults))


def _members(variable: Variable, sources: Sources) -> list[Variable]:
    if not variable.family:
        return [variable]
    names = {name.removesuffix(FILE_SUFFIX) for group in sources.names() for name in group}
    members = [variable.named(name) for name in sorted(names) if variable.owns(name)]
    # A _FILE may point to an empty file: such a member is as good as none.
    return [member for member in members if sources.find(member.name) != Found()]


def _read(variables: list[Variable], sources: Sources) -> list[Entry]:
    # A default is a value already: that its kind would take it, too, is what a test makes sure of.
    found = {variable.name: sources.find(variable.name) for variable in variables}
    texts = {name: place.text for name, place in found.items() if place.text}
    reader = Reader(texts)
    values = {v.name: reader.read(v.kind, v.name) for v in variables if v.name in texts}
    problems = reader.problems()
    return [
        Entry(v, found[v.name], _wrong(v, found[v.name], problems), values.get(v.name, v.default))
        for v in variables
    ]


def _wrong(variable: Variable, found: Found, problems: Mapping[str, str]) -> str:
    if found.problem:
        return found.problem
    if found.text is None:
        return "is needed, but not set" if variable.required else ""
    return problems.get(variable.name, "")


def _own_faults(entries: list[Entry]) -> Iterator[Fault]:
    for entry in entries:
        if entry.wrong:
            # A mask in quotes would tell nothing: then the words alone.
            shown = entry.found.text and entry.shown != MASK
            yield entry.fault(f"'{entry.shown}': {entry.wrong}" if shown else entry.wrong)


def _broken_rules(sections: tuple[type, ...], entries: list[Entry]) -> Iterator[Fault]:
    by_name = {entry.variable.name: entry for entry in entries}
    for section in sections:
        sound = {
            entry.variable.field: entry.value
            for entry in entries
            if not entry.wrong and (entry.variable.section is section or entry.variable == _ENVIRONMENT)
        }
        rules: tuple[Rule, ...] = getattr(section, "rules", ())
        for rule in rules:
            # Asked only when all it needs is sound: one bad value is one fault, and hides no other.
            needed = inspect.signature(rule).parameters
            if needed.keys() <= sound.keys() and (problem := rule(**{name: sound[name] for name in needed})):
                yield by_name[problem.variable].fault(problem.wrong, problem.right)


def _value(entries: list[Entry], variable: Variable) -> object:
    return next(entry.value for entry in entries if entry.variable == variable)


def _placeholders(entries: list[Entry]) -> Iterator[Fault]:
    for entry in entries:
        if entry.found.text and is_placeholder(entry.found.text, secret=entry.variable.kind.secret):
            yield entry.fault("is a placeholder, and this is production", "the real value")
