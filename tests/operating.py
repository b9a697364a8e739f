"""For tests of what operators do: a deployment of a test's own, accounts in it, and the `countless` command."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner, Result

from chalicelib import wiring
from chalicelib.aws.accounts import Created
from chalicelib.core import passwords
from infrastructure import commands
from tests.dynamo import Dynamo, standing_in


@contextmanager
def own_tables() -> Iterator[Dynamo]:
    """Tables without any account yet, in memory; nobody signs in, so passwords are kept as they are."""
    with pytest.MonkeyPatch.context() as patch, standing_in() as dynamo:
        patch.setattr(passwords, "hashed", lambda password: password)
        _forget()
        yield dynamo
    _forget()


def _forget() -> None:
    """Drops what the service knows of tables. To make its clients anew as well would take longer than most tests."""
    wiring.accounts.cache_clear()
    wiring.users.cache_clear()
    wiring.domains.cache_clear()
    wiring._threads[0] = threading.local()


def new_account(name: str = "") -> Created:
    """An account with a user, a site with this code at NAME.example, and a key for everything."""
    name = name or f"n{secrets.token_hex(8)}"
    return wiring.accounts().create_account(
        name=name,
        username=name,
        email=f"{name}@e.example",
        password="p",
        domain=f"{name}.example",
        code=name,
        cname=f"{name}.example",
    )


def run(*arguments: str, given: str = "") -> Result:
    """`countless` with these arguments; `given` is typed in."""
    group = {str(command.name): command for command in commands.COMMANDS}[arguments[0]]
    return CliRunner().invoke(group, list(arguments[1:]), input=given)
