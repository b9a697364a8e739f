"""The description as a page: made here, so that it needs no script, and nothing from elsewhere."""

from base64 import b64encode
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from jinja2 import Template

    from .schemas import Schema


class Page(NamedTuple):
    """A page, and what it has to be allowed to do."""

    html: str
    policy: str
    """The `Content-Security-Policy`: its own style, and nothing else."""


def page(document: dict[str, Any], source: str) -> Page:
    """The page that shows a description; `source` is where the description itself is."""
    style = _text("page.css")
    base = "" if document["basePath"] == "/" else document["basePath"]
    operations = [
        {**operation, "method": method.upper(), "path": base + path}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    html = _template().render(document=document, operations=operations, source=source, style=style)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return Page(html, f"{policy}; frame-ancestors 'none'")


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> "Template":
    import jinja2  # noqa: PLC0415 - only pages need it, and it takes its time to load

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"paragraphs": _paragraphs, "kind": _kind, "limits": _limits, "name": _name}
    return environment.from_string(_text("page.html"))


def _paragraphs(text: str) -> list[list[str]]:
    """A description's paragraphs; in each, every second part is code."""
    return [paragraph.split("`") for paragraph in text.strip().split("\n\n")]


def _name(schema: "Schema") -> str:
    """Which object a schema refers to; empty if none."""
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _kind(schema: "Schema") -> str:
    """The type of a value in a few words."""
    if "$ref" in schema:
        return _name(schema)
    if schema.get("type") == "array":
        return f"array of {_kind(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    kind = str(schema.get("type", "anything"))
    return f"{kind} or null" if schema.get("x-nullable") else kind


def _limits(schema: "Schema") -> str:
    """What limits a value has, in a few words."""
    return ", ".join(_said_limits(schema))


_BOUNDS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
    "minimum": "from {}",
    "maximum": "up to {}",
    "default": "else {}",
}


def _said_limits(schema: "Schema") -> Iterator[str]:
    if "enum" in schema:
        yield "one of " + ", ".join(str(value) or "nothing" for value in schema["enum"])
    if "format" in schema:
        yield str(schema["format"])
    for name, words in _BOUNDS.items():
        if name in schema:
            value = schema[name]
            yield words.format(str(value).lower() if isinstance(value, bool) else value)
