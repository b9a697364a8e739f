"""DynamoDB's values in its own notation, `{"N": "1"}`: which are valid, how they compare, what they weigh."""

from base64 import b64decode
from collections.abc import Mapping
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Any

from infrastructure.bench import units

Value = dict[str, Any]
Item = dict[str, Value]

DIGITS = 38
_LARGEST, _SMALLEST = Decimal("9.9999999999999999999999999999999999999E+125"), Decimal("1E-130")
_EXACT = Context(prec=DIGITS, Emax=999, Emin=-999, traps=[Inexact, InvalidOperation, Overflow])
_SETS = ("SS", "NS", "BS")


class Refused(Exception):
    """An error that DynamoDB answers with; `extra` stands beside code and message."""

    def __init__(self, code: str, message: str, **extra: Any) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.extra = extra


def invalid(message: str) -> Refused:
    """What is wrong with a request by itself, whatever the tables hold."""
    return Refused("ValidationException", message)


def kind(value: Value) -> str:
    """The value's type, such as `S`."""
    (found,) = value
    return found


def number(text: str) -> str:
    """A number as DynamoDB gives it back: no exponent where none is needed, no zeros at the end.

    Raises:
        Refused: it is none, or has too many digits.
    """
    try:
        found = Decimal(text)
    except InvalidOperation:
        raise invalid("The parameter cannot be converted to a numeric value: " + text) from None
    if not found.is_finite():
        raise invalid("The parameter cannot be converted to a numeric value: " + text)
    if found and not _SMALLEST <= found.copy_abs() <= _LARGEST:
        raise invalid("Number overflow. Attempting to store a number with magnitude larger than supported range")
    try:
        return format(_EXACT.normalize(found) if found else Decimal(0), "f")
    except Inexact:
        raise invalid("Attempting to store more than 38 significant digits in a Number") from None


def total(left: Value, right: Value, sign: int) -> Value:
    """The sum, or with -1 as sign the difference, of two numbers: exact, or refused."""
    try:
        found = (_EXACT.add if sign > 0 else _EXACT.subtract)(Decimal(left["N"]), Decimal(right["N"]))
    except Inexact:
        raise invalid("Attempting to store more than 38 significant digits in a Number") from None
    return {"N": number(str(found))}


def checked(value: Value) -> Value:  # noqa: C901 - a case for each type
    """The value as DynamoDB keeps it.

    Raises:
        Refused: there is no such value.
    """
    if len(value) != 1:
        raise invalid("Supplied AttributeValue has more than one datatypes set, must contain exactly one")
    of = kind(value)
    held = value[of]
    if of == "N":
        # Most are in their final form already.
        return value if held.isdigit() and len(held) <= DIGITS and held[0] != "0" else {"N": number(held)}
    if of in ("S", "B", "BOOL"):
        return value
    if of == "NULL":
        if held is not True:
            raise invalid("One or more parameter values were invalid: Null attribute value types must have the value")
        return value
    if of in _SETS:
        if not held:
            raise invalid(f"One or more parameter values were invalid: An {_LONG[of]} set  may not be empty")
        members = [checked({of[0]: member})[of[0]] for member in held]
        if len(set(members)) != len(members):
            raise invalid("Input collection contains duplicates")
        return {of: members}
    if of == "L":
        return {"L": [checked(member) for member in held]}
    if of == "M":
        return {"M": {name: checked(member) for name, member in held.items()}}
    raise invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes")


_LONG = {"SS": "string", "NS": "number", "BS": "binary"}


def same(left: Value, right: Value) -> bool:  # noqa: PLR0911 - as above
    """Whether `=` holds: of one type, and equal; sets have no order."""
    of = kind(left)
    if of != kind(right):
        return False
    if of == "N":
        return Decimal(left["N"]) == Decimal(right["N"])
    if of == "NS":
        return set(map(Decimal, left[of])) == set(map(Decimal, right[of]))
    if of in _SETS:
        return set(left[of]) == set(right[of])
    if of == "L":
        return len(left[of]) == len(right[of]) and all(map(same, left[of], right[of]))
    if of == "M":
        return left[of].keys() == right[of].keys() and all(same(left[of][name], right[of][name]) for name in left[of])
    return bool(left[of] == right[of])


def ordered(value: Value) -> Any:
    """What sorts as DynamoDB sorts the values of a type: text by its UTF-8 bytes, which is by code points."""
    of = kind(value)
    if of == "N":
        return Decimal(value["N"])
    if of == "B":
        return b64decode(value["B"])
    return value["S"]


def weighed(item: Mapping[str, Value]) -> int:
    """Bytes of an item."""
    return units.item_size({name: _plain(value) for name, value in item.items()})


def _plain(value: Value) -> Value:
    """As the rules for units have it: with bytes, where JSON has base64."""
    match value:
        case {"B": held}:
            return {"B": b64decode(held)}
        case {"BS": held}:
            return {"BS": [b64decode(member) for member in held]}
        case {"L": held}:
            return {"L": [_plain(member) for member in held]}
        case {"M": held}:
            return {"M": {name: _plain(member) for name, member in held.items()}}
        case _:
            return value


def size(value: Value) -> int | None:
    """What the function `size` says; None for types that have none."""
    of = kind(value)
    if of == "S":
        return len(value["S"].encode())
    if of == "B":
        return len(b64decode(value["B"]))
    return len(value[of]) if of in (*_SETS, "L", "M") else None
