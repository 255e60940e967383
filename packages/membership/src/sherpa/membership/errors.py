"""What may go wrong in the domain: one root, and leaves that say what happened and what to do next."""

import inspect


class MembershipError(Exception):
    """The domain could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (inspect.getdoc(type(self)) or type(self).__name__).split("\n\n")[0])


class InvalidFactsError(MembershipError):
    """These facts can't be a membership's or a payment's: correct what the message names."""


class MembershipNotFoundError(MembershipError):
    """There is no such membership."""


class AlreadyMemberError(MembershipError):
    """The user has a membership already, and there is one per user: renew that one."""


class TransitionError(MembershipError):
    """A membership that stands where this one does can't go there."""


class RepeatedDifferentlyError(MembershipError):
    """Something with this id was recorded before, with other facts: a repeat must say the same."""


class EmailError(MembershipError):
    """An e-mail was not sent."""


class EmailUnavailableError(EmailError):
    """The e-mail may be sent later: whoever sends it is away, busy, or did not answer in time."""


class EmailRefusedError(EmailError):
    """The e-mail was refused, and sending it again as it is will not help: the message says why."""


class EmailSettingsError(EmailError):
    """Not the e-mail was refused, but any of ours: correct the settings that the message is about."""


class NoAddressError(EmailError):
    """Nobody knows the e-mail address of this user: make it known, then retry the dead letter."""
