"""Imports go one way: the table of who may import what, and the test that keeps it true.

Read from the bottom up: `core` knows nobody, `app.py` and `infrastructure` know everybody. Imports within functions
and for type checkers count too.
"""

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

AWS = {
    "boto3",
    "botocore",
    "pynamodb",
    "types_boto3_dynamodb",
    "types_boto3_s3",
    "types_boto3_sesv2",
    "types_boto3_sqs",
    "types_boto3_ssm",
}
LISTS = {"crawlerdetect", "langcodes", "language_data", "maxminddb", "ua_parser"}
"""Libraries that look something up in a list they bring, and do nothing else."""


@dataclass(frozen=True)
class Rule:
    """What the files of one part may import, besides each other and the standard library."""

    parts: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()


def _rule(*parts: str, libraries: set[str] | None = None) -> Rule:
    return Rule(frozenset(parts), frozenset(libraries or ()))


RULES = {
    "core": _rule(libraries={"orjson", "argon2"}),
    "settings": _rule(),
    "observability": _rule(libraries={"aws_lambda_powertools", "chalice"}),
    "pageviews": _rule("core", libraries={"PIL", "jinja2", "orjson", *LISTS}),
    "statistics": _rule("core", libraries={"orjson"}),
    "aws": _rule("core", "settings", libraries={"orjson", *AWS}),
    "wiring": _rule("core", "settings", "aws"),
    "web": _rule("core", "settings", "observability", "wiring", libraries={"chalice", "orjson"}),
    "pageviews.routes": _rule("core", "pageviews", "observability", "wiring", "web", libraries={"chalice"}),
    "statistics.routes": _rule("core", "statistics", "observability", "wiring", "web", libraries={"chalice"}),
    "functions": _rule("core", "settings", "observability", "pageviews", "statistics", "wiring", libraries={"chalice"}),
    "app": _rule("web", "pageviews.routes", "statistics.routes", "functions", "observability", libraries={"chalice"}),
    "sdk": _rule(libraries={"click", "httpx"}),
}
"""Whoever is not in the table (infrastructure, tests) may import anything."""

WORLD = {"socket", "subprocess", "http", "ssl", "sqlite3", "asyncio", "selectors", "ftplib", "smtplib", "tempfile"}
"""Standard modules that reach outside the process: nothing for `core` and the surfaces' rules."""

OUTSIDE = {"infrastructure", "tests", "app", "sdk"}
"""What the deployed package does not contain, or must not depend on."""


def part_of(module: str) -> str:
    """The part that a dotted module name of ours belongs to, as the table names it."""
    names = module.split(".")
    if names[0] == "countless":
        return "sdk"
    if names[0] != "chalicelib":
        return names[0]
    if names[2:3] == ["routes"]:
        return ".".join(names[1:3])
    return names[1] if len(names) > 1 else "chalicelib"


@dataclass(frozen=True)
class Import:
    """One import: who, what, where."""

    module: str
    imported: str
    line: int


def _module(file: Path) -> str:
    relative = file.relative_to(ROOT / "sdk" if file.is_relative_to(ROOT / "sdk") else ROOT)
    return ".".join(relative.with_suffix("").parts).removesuffix(".__init__")


def imports(source: str, module: str, *, package: bool = False) -> Iterator[Import]:
    """Every import of a source text; relative ones made absolute. `package` says that it is an `__init__`."""
    parents = module.split(".") if package else module.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Import(module, name.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            for name in node.names:
                # `from chalicelib import wiring` imports a module, `from chalicelib.core.errors import Invalid` does
                # not: the part is the same either way.
                yield Import(module, f"{start}.{name.name}" if start else name.name, node.lineno)


def complaint(found: Import) -> str | None:
    """What is wrong with an import, in a sentence; None if nothing is."""
    part, wanted = part_of(found.module), part_of(found.imported)
    rule = RULES.get(part)
    library = found.imported.split(".")[0]
    if rule is None or wanted in (part, "chalicelib") or wanted in rule.parts:
        return None
    if part in ("core", "pageviews", "statistics") and library in WORLD:
        return f"reaches outside the process with {library}: rules are pure"
    if library in sys.stdlib_module_names:
        return None
    if library in ("chalicelib", "countless") or library in OUTSIDE:
        allowed = ", ".join(sorted(rule.parts)) or "nothing of ours"
        return f"imports {found.imported}, but {part} may import {allowed} besides itself"
    if library not in rule.libraries:
        allowed = ", ".join(sorted(rule.libraries)) or "none"
        return f"uses the library {library}, but {part} may use {allowed}"
    return None


def _files() -> list[Path]:
    folders = [ROOT / "chalicelib", ROOT / "sdk"]
    return [ROOT / "app.py", *(file for folder in folders for file in sorted(folder.rglob("*.py")))]


def test_imports_go_one_way() -> None:
    """No file imports what its part may not know."""
    broken: list[str] = []
    for file in _files():
        source = file.read_text(encoding="utf-8")
        broken += [
            f"{file.relative_to(ROOT)}:{found.line} {wrong}"
            for found in imports(source, _module(file), package=file.name == "__init__.py")
            if (wrong := complaint(found)) is not None
        ]
    assert not broken, "\n" + "\n".join(broken)


def test_nobody_asks_which_attributes_an_update_changed() -> None:
    """Implementations of DynamoDB answer `UPDATED_OLD` and `UPDATED_NEW` differently; `ALL_OLD` and `ALL_NEW` not."""
    asking = re.compile(r"return_?values[\"']?\s*[=:]\s*[\"']?(?:UPDATED_|\w+\.UPDATED_)", re.IGNORECASE)
    assert asking.search('ReturnValues="UPDATED_NEW"')
    assert [str(file) for file in _files() if asking.search(file.read_text(encoding="utf-8"))] == []


def test_every_folder_of_the_package_is_in_the_table() -> None:
    """A new part of chalicelib gets a row before it gets files."""
    names = {part_of(_module(file)) for file in _files()} - {"chalicelib"}
    assert names <= set(RULES), f"no rule for {sorted(names - set(RULES))}"


def test_every_folder_of_the_package_is_a_python_package() -> None:
    """Chalice packs folders; Lambda imports packages."""
    folders = {file.parent for file in (ROOT / "chalicelib").rglob("*.py")}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("chalicelib.core.log", "import boto3", "uses the library boto3"),
        ("chalicelib.core.log", "from chalicelib.aws import log", "imports chalicelib.aws.log"),
        ("chalicelib.core.log", "from ..aws.log import Log", "imports chalicelib.aws.log.Log"),
        ("chalicelib.core.log", "from .. import wiring", "imports chalicelib.wiring"),
        ("chalicelib.core.log", "def f():\n    import socket", "reaches outside the process"),
        ("chalicelib.pageviews.hits", "from .routes import blueprint", "imports chalicelib.pageviews.routes"),
        ("chalicelib.pageviews.hits", "from chalice import Blueprint", "uses the library chalice"),
        ("chalicelib.functions.append", "from chalicelib.aws import log", "imports chalicelib.aws.log"),
        (
            "chalicelib.functions.append",
            "from chalicelib.pageviews import routes",
            "imports chalicelib.pageviews.routes",
        ),
        ("chalicelib.wiring", "import infrastructure.storage", "imports infrastructure.storage"),
        ("chalicelib.web", "from chalicelib.aws.accounts import Accounts", "imports chalicelib.aws.accounts"),
        ("countless.client", "from chalicelib.core import errors", "imports chalicelib.core.errors"),
        ("countless.client", "import boto3", "uses the library boto3"),
    ],
)
def test_a_wrong_import_is_named(module: str, source: str, wrong: str) -> None:
    """Absolute, relative, or hidden in a function: the sentence says what is wrong."""
    (found,) = imports(source, module)
    assert wrong in (complaint(found) or "")


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("chalicelib.core.log", "from .errors import Invalid"),
        ("chalicelib.core.log", "import zlib"),
        ("chalicelib.pageviews.hits", "from chalicelib.core.events import Hit"),
        ("chalicelib.pageviews.routes", "from . import responses"),
        ("chalicelib.functions.append", "from chalicelib import wiring"),
        ("chalicelib.wiring", "from .aws import clients"),
        ("infrastructure.local.demo", "from chalicelib.aws.accounts import Accounts"),
    ],
)
def test_a_right_import_passes(module: str, source: str) -> None:
    """What the table allows is allowed."""
    (found,) = imports(source, module)
    assert complaint(found) is None
