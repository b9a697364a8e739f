"""Who wants which reports by mail, and up to when they had them: attributes of a user's item.

`last_report_at` moves by a condition on where it stood, before the mail is sent: of several that would send the same
report one does. Whoever is sending leaves a claim, which begins with the time; what is still there long after tells of
somebody who died between the two, so that the report came or did not.
"""

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from chalicelib.core.accounts import EmailReports, User
from chalicelib.core.errors import NotFound, Uncertain

from . import calls
from .accounts import Accounts
from .records import partition

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

FORGOTTEN = 3600
"""Seconds after which nobody can still be sending: no function runs for as long."""


class Reporting:
    """The store. Every method may raise `Unavailable` when DynamoDB does not answer or is throttling, and those that
    write may raise `Uncertain` when nobody can say whether they did.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        once: "DynamoDBClient",
        table: str,
        accounts: Accounts,
        clock: Callable[[], float],
    ) -> None:
        """`once` makes one attempt a call (`clients.dynamodb_once`)."""
        self._client = client
        self._once = once
        self._table = table
        self._accounts = accounts
        self._clock = clock

    def choose(
        self,
        user: User,
        reports: EmailReports,
        *,
        zone: str | None = None,
        sunday_starts_week: bool | None = None,
    ) -> None:
        """Says how often a user wants reports, and by which calendar; None leaves what there is. The first report is
        about the period in which this is said.

        Raises:
            NotFound: there is no such user any more.
        """
        values: dict[str, Any] = {
            ":reports": {"N": str(int(reports))},
            ":now": {"N": str(int(self._clock()))},
            ":sunday": {"BOOL": bool(sunday_starts_week)},
        }
        change = "SET email_reports = :reports, last_report_at = :now, sunday_starts_week = "
        # Users from before there were reports have no such attribute, and `claim` asks for it.
        change += "if_not_exists(sunday_starts_week, :sunday)" if sunday_starts_week is None else ":sunday"
        names: dict[str, Any] = {}
        if zone is not None:
            change += ", #zone = :zone"
            values[":zone"] = {"S": zone}
            names = {"ExpressionAttributeNames": {"#zone": "timezone"}}  # a word of DynamoDB's
        try:
            calls.update(
                self._client,
                **self._item(user),
                UpdateExpression=f"{change} REMOVE report_claim",
                ConditionExpression="attribute_exists(pk)",
                ExpressionAttributeValues=values,
                **names,
            )
        except calls.Cancelled:
            raise NotFound("user") from None
        finally:
            self._accounts.forget(user.account)

    def claim(self, user: User, until: int) -> str:
        """Moves `last_report_at` to the end of the period that the caller is about to report; the claim, which only one
        of all those who try gets. Empty if somebody else did, or the user has chosen otherwise meanwhile.
        """
        claim = f"{int(self._clock())}-{secrets.token_hex(8)}"
        values = {
            ":until": {"N": str(until)},
            ":claim": {"S": claim},
            ":before": {"N": str(user.last_report_at)},
            ":reports": {"N": str(int(user.email_reports))},
            ":zone": {"S": user.timezone},
            ":sunday": {"BOOL": user.sunday_starts_week},
        }
        try:
            calls.update(
                self._once,
                **self._item(user),
                UpdateExpression="SET last_report_at = :until, report_claim = :claim",
                ConditionExpression="last_report_at = :before AND email_reports = :reports AND #zone = :zone "
                "AND sunday_starts_week = :sunday",
                ExpressionAttributeNames={"#zone": "timezone"},
                ExpressionAttributeValues=values,
            )
        except calls.Cancelled:
            return ""
        except Uncertain:
            return claim if self._claimed(user) == claim else ""
        finally:
            self._accounts.forget(user.account)
        return claim

    def settle(self, user: User, claim: str) -> None:
        """Ends a claim: the report was sent, or never will be."""
        self._end(user, claim, "REMOVE report_claim", {})

    def release(self, user: User, claim: str) -> None:
        """Takes a claim back: the report was certainly not sent, and may be. `user` is as it was before the claim."""
        change = "SET last_report_at = :before REMOVE report_claim"
        self._end(user, claim, change, {":before": {"N": str(user.last_report_at)}})

    def forgotten(self, user: User) -> bool:
        """Whether somebody died while sending this user's last report."""
        since, _, _ = user.report_claim.partition("-")
        return since.isdecimal() and int(since) + FORGOTTEN < self._clock()

    def _end(self, user: User, claim: str, change: str, values: dict[str, Any]) -> None:
        try:
            calls.update(
                self._client,
                **self._item(user),
                UpdateExpression=change,
                ConditionExpression="report_claim = :claim",
                ExpressionAttributeValues={":claim": {"S": claim}, **values},
            )
        except calls.Cancelled:
            pass  # done before by a call whose answer was lost, or the user has chosen anew
        finally:
            self._accounts.forget(user.account)

    def _claimed(self, user: User) -> str:
        with calls.answering():
            item = self._client.get_item(**self._item(user), ConsistentRead=True).get("Item", {})
        return str(item.get("report_claim", {}).get("S", ""))

    def _item(self, user: User) -> dict[str, Any]:
        key = {"pk": {"S": partition(user.account)}, "sk": {"S": f"user#{user.id:010d}"}}
        return {"TableName": self._table, "Key": key}
