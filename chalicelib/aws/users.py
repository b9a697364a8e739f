"""Makes, changes and removes the users of an account. Their names and mail addresses are kept by pointers beside them,
which are written and deleted together with them.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chalicelib.core import passwords
from chalicelib.core.accounts import Role, Roster, User
from chalicelib.core.errors import Invalid, NotFound, Unavailable
from chalicelib.core.mail import Mailbox

from . import calls, records
from .accounts import Accounts, next_number

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

MOST = 100
"""Users of an account: all of them are read with each request."""
LONGEST_NAME = 100
"""Characters of a user's name."""
Member = dict[str, Any]


class Users:
    """The store.

    Every method may raise `Unavailable` when DynamoDB does not answer or is throttling.
    """

    def __init__(self, client: "DynamoDBClient", table: str, accounts: Accounts, clock: Callable[[], float]) -> None:
        self._client = client
        self._table = table
        self._accounts = accounts
        self._clock = clock

    def add(self, account: str, name: str, email: str, role: Role, password: str = "") -> User:
        """Makes a user, who cannot sign in without a password.

        Raises:
            Invalid: the name or the address cannot be one, or is taken; the account has as many users as it may.
        """
        if len(self._accounts.current_roster(account).users) >= MOST:
            raise Invalid(f"An account has {MOST} users at most.")
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or name != name.strip():
            raise Invalid(fields={"name": [f"must have 1 to {LONGEST_NAME} printable characters"]})
        made = User(
            id=next_number("user"),
            account=account,
            name=name,
            email=Mailbox.read(email, "email").address,
            role=role,
            password=passwords.hashed(password) if password else "",
            created_at=int(self._clock()),
        )
        document, *pointers = records.new_user(made)
        members = [self._there(account, "account"), records.put(self._table, document.document)]
        members += [records.put(self._table, pointer.document) for pointer in pointers]
        try:
            calls.transact(self._client, members)
        except calls.Cancelled as error:
            if error.failed(0):
                raise NotFound("account") from None
            taken = [pointer.field for index, pointer in enumerate(pointers, 2) if error.failed(index)]
            if not error.failed(1):  # nobody else has the number: else it was a repeated call's own work
                raise _taken(taken, error) from None
        finally:
            self._accounts.forget(account)
        return made

    def change_email(self, user: User, email: str) -> User:
        """Gives a user another mail address; the old one is free then.

        Raises:
            Invalid: the address cannot be one, or is somebody else's.
            NotFound: the user was removed or changed meanwhile.
        """
        changed = replace(user, email=Mailbox.read(email, "email").address, email_verified=True)
        members: list[Member] = [
            {
                "Update": {
                    **self._place(user),
                    "UpdateExpression": "SET email = :new, email_verified = :yes",
                    "ConditionExpression": "email = :old",
                    "ExpressionAttributeValues": {
                        ":new": {"S": changed.email},
                        ":old": {"S": user.email},
                        ":yes": {"BOOL": True},
                    },
                }
            }
        ]
        if changed.email.lower() != user.email.lower():
            pointer = next(new for new in records.new_user(changed) if new.field == "email")
            members += [records.put(self._table, pointer.document), self._free("email", user.email, user.account)]
        try:
            calls.transact(self._client, members)
        except calls.Cancelled as error:
            if self._now(user).email != changed.email:  # else it was a repeated call's own work
                if error.failed(0):
                    raise NotFound("user") from None
                raise _taken(["email"], error) from None
        finally:
            self._accounts.forget(user.account)
        return changed

    def remove(self, roster: Roster, user: User) -> None:
        """Removes a user: revokes the user's keys, then deletes the user. Name and address are free then.

        Raises:
            Invalid: nobody would be left who may administer the account.
            NotFound: the user was removed or changed meanwhile.
        """
        heir = next((other for other in roster.users if other.role.administers and other.id != user.id), None)
        if heir is None:
            raise Invalid("Nobody else may administer the account: add somebody who may, first.")
        for key in self._accounts.keys(user.account):
            if key.owner == user.id and not key.revoked:
                self._accounts.revoke_key(user.account, key.id)
        members: list[Member] = [
            {
                "Delete": {
                    **self._place(user),
                    "ConditionExpression": "email = :email",
                    "ExpressionAttributeValues": {":email": {"S": user.email}},
                }
            },
            # Two that are removed at once must not both count on the other.
            self._there(user.account, f"user#{heir.id:010d}"),
            self._free("user", user.name, user.account),
            self._free("email", user.email, user.account),
        ]
        try:
            calls.transact(self._client, members)
        except calls.Cancelled as error:
            if error.failed(1):
                raise Unavailable("users are removed at the same time") from None
            self._accounts.forget(user.account)
            if self._accounts.roster(user.account).user(user.id) is not None:
                raise NotFound("user") from None  # else it was a repeated call's own work
        finally:
            self._accounts.forget(user.account)

    def _now(self, user: User) -> User:
        """The user as it is.

        Raises:
            NotFound: it was removed.
        """
        found = self._accounts.current_roster(user.account).user(user.id)
        if found is None:
            raise NotFound("user")
        return found

    def _place(self, user: User) -> Member:
        return self._item(records.partition(user.account), f"user#{user.id:010d}")

    def _item(self, pk: str, sk: str) -> Member:
        return {"TableName": self._table, "Key": {"pk": {"S": pk}, "sk": {"S": sk}}}

    def _there(self, account: str, sk: str) -> Member:
        """The member of a transaction that wants an item of the account to be there."""
        return {
            "ConditionCheck": {
                **self._item(records.partition(account), sk),
                "ConditionExpression": "attribute_exists(pk)",
            }
        }

    def _free(self, kind: str, name: str, account: str) -> Member:
        """The member that frees a name, or an address."""
        return {
            "Delete": {
                **self._item(f"taken#{kind}", name.lower()),
                "ConditionExpression": "account = :account",
                "ExpressionAttributeValues": {":account": {"S": account}},
            }
        }


def _taken(fields: list[str], error: calls.Cancelled) -> Exception:
    if not fields:
        return Unavailable(f"documents: {error}")
    return Invalid(fields={("name" if field == "username" else field): ["already exists"] for field in fields})
