"""JSON bodies, read as strictly as clients expect: native types, and no key that nobody knows (page-view contract,
section 1.7).

What is refused is said in one sentence, as `Invalid`; `what` names the value in it.
"""

import json
import re
from typing import Any, NoReturn

import orjson

from chalicelib.core.crowds import BRACKETS, crowded
from chalicelib.core.errors import Invalid

MAX_INT = 2**31 - 1
MOST = 2_000
"""Objects and lists of a body: 500 page views, each with a list in its size. Other values are decoded in no time."""
CROWDED = f"invalid JSON: more than {MOST} objects and lists"


def parse(body: bytes, crowd: str = CROWDED) -> Any:  # noqa: ANN401 - JSON is anything
    """The first JSON value of a body; of an empty one, an empty object.

    Raises:
        Invalid: it is no JSON; or it holds more than `MOST` objects and lists, of which `crowd` tells.
    """
    if crowded(body, MOST, BRACKETS):
        raise Invalid(crowd)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _patiently(body)


def _patiently(body: bytes) -> Any:  # noqa: ANN401
    """What orjson will not read: an empty body, more after the first value, and text that is not quite Unicode.

    The escape of a lone surrogate, which browsers make of half an emoji, is U+FFFD. Bytes that are no UTF-8, which they
    never send, become lone surrogates, which cost only what holds them.
    """
    text = body.decode("utf-8", "surrogateescape").lstrip(" \t\r\n")
    if not text:
        return {}
    try:
        return _PATIENT.raw_decode(_ESCAPE.sub(_whole, text))[0]
    except RecursionError:
        refuse("nested too deeply")
    except json.JSONDecodeError as error:
        refuse(f"{error.msg} at character {error.pos}")
    except ValueError as error:
        refuse(str(error).partition(";")[0])


_ESCAPE = re.compile(
    r"(?:[^\\]++|\\(?!u[Dd][89A-Fa-f]).|\\u[Dd][89ABab][0-9A-Fa-f]{2}\\u[Dd][C-Fc-f][0-9A-Fa-f]{2})++"
    r"|(\\u[Dd][89A-Fa-f][0-9A-Fa-f]{2})",
    re.DOTALL,
)
"""A run of JSON without lone surrogates, as long as it is; or the escape of a lone one."""


def _whole(escape: re.Match[str]) -> str:
    return r"\ufffd" if escape[1] else escape[0]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_PATIENT = json.JSONDecoder(parse_constant=_no_constant)


def refuse(why: str) -> NoReturn:
    """Refuses the whole body.

    Raises:
        Invalid: always.
    """
    raise Invalid(f"invalid JSON: {why}")


def named(fields: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """The fields under their own names: keys fit exactly or but for case; the last of those that fit counts.

    Raises:
        Invalid: a key is none of these.
    """
    if fields.keys() <= known:
        return fields
    found = {}
    for key, value in fields.items():
        name = key if key in known else key.lower()
        if name not in known:
            raise Invalid(f"unknown parameter: {_quoted(key)}")
        found[name] = value
    return found


def _quoted(key: str) -> str:
    return json.dumps(key[:100], ensure_ascii=not key[:100].isprintable())


def as_object(value: object, what: str) -> dict[str, Any]:
    """An object; null is an empty one."""
    if value is None:
        return {}
    return value if isinstance(value, dict) else refuse(f"{what} must be an object")


def as_list(value: object, what: str) -> list[Any]:
    """An array; null is an empty one."""
    if value is None:
        return []
    return value if isinstance(value, list) else refuse(f"{what} must be an array")


def as_text(value: object, what: str) -> str:
    """A string; null is an empty one."""
    if value is None:
        return ""
    return value if isinstance(value, str) else refuse(f"{what} must be a string")


def as_flag(value: object, what: str) -> bool:
    """True or false; null is false."""
    if value is None:
        return False
    return value if isinstance(value, bool) else refuse(f"{what} must be true or false")


def as_whole(value: object, what: str) -> int:
    """A whole number of 32 bits."""
    if type(value) is not int or abs(value) > MAX_INT:
        refuse(f"{what} must be a whole number of 32 bits")
    return value
