"""What may be wrong with a value, in the words that clients of the page-view API know (contract, section 1.5)."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from chalicelib.core.errors import Invalid

from .texts import storable

UTF_8 = "must be UTF-8"
NOT_SET = "must be set"
T = TypeVar("T")


class Fault(Exception):
    """A value breaks a rule; `messages` say how, each by itself."""

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = list(messages)


class Faults:
    """The faults of several fields, by their dotted names."""

    def __init__(self) -> None:
        self.fields: dict[str, list[str]] = {}

    def check(self, field: str, rule: Callable[[Any], T], value: object) -> T | None:
        """What `rule` makes of a field's value; None, and noted, if it finds a fault with it."""
        try:
            return rule(value)
        except Fault as fault:
            self.fields.setdefault(field, []).extend(fault.messages)
            return None

    def end(self) -> None:
        """Passes if nothing was found.

        Raises:
            Invalid: something was; its `fields` say what.
        """
        if self.fields:
            raise Invalid(fields=self.fields)


def one_of(allowed: Iterable[object]) -> str:
    """What must hold of a value that has to be one of a few."""
    return f"must be one of ‘{', '.join(map(str, allowed))}’"  # noqa: RUF001 - the contract's quotes


def cannot_be(value: str) -> str:
    """What must hold of a value that may be anything but this."""
    return f"cannot be ‘{value}’"  # noqa: RUF001


def within(text: str, shortest: int, longest: int) -> list[str]:
    """What is wrong with the length of a text, in characters."""
    if len(text) < shortest:
        return [f"must be longer than {shortest} characters"]
    return [f"must be shorter than {longest} characters"] if len(text) > longest else []


def between(number: int, lowest: int, highest: int) -> int:
    """A number that lies between these two, both included, as it is.

    Raises:
        Fault: it does not.
    """
    if number < lowest:
        raise Fault(f"must be {lowest} or higher")
    if number > highest:
        raise Fault(f"must be {highest} or lower")
    return number


def plain(text: str, longest: int) -> str:
    """A text that can be stored, as it is.

    Raises:
        Fault: it cannot, or is longer than that.
    """
    messages = [] if storable(text) else [UTF_8]
    if messages := messages + within(text, 0, longest):
        raise Fault(*messages)
    return text
