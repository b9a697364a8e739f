"""Removes what deletes of groups, statistics and domains left behind: the function `remove`.

A message stands for one deleted thing, whose entry says that it is still to be removed. Doing it twice, or again from
where it stopped, does no harm; what takes longer than the function may run goes on with a new message.
"""

import json
from typing import Any

from chalice.app import Blueprint, SQSEvent

from chalicelib import wiring
from chalicelib.core.accounts import DOMAIN_PREFIX, Scope
from chalicelib.core.statistics import GROUP
from chalicelib.observability import event_function, logger
from chalicelib.statistics.exports import SURFACE

from .append import QUEUE

blueprint = Blueprint(__name__)


@blueprint.on_sqs_message(queue_arn=f"{QUEUE}removals", batch_size=1, name="remove")
@event_function
def remove(event: SQSEvent) -> dict[str, list[dict[str, str]]]:
    """Removes what the messages name. What fails comes again."""
    failed = []
    for record in event.to_dict()["Records"]:
        try:
            _remove(json.loads(record["body"]), event.context)
        except Exception:
            logger.exception("nothing could be removed", extra={"sqs_message": record["messageId"]})
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def _remove(body: dict[str, str], context: Any) -> None:  # noqa: ANN401 - Lambda's
    scope, target = Scope(body["account"], body["domain"]), body["target"]
    removals = wiring.removals()
    removal = removals.find(scope, target)
    if removal is None:
        return
    if not removals.due(removal):
        removals.ask(scope, target)
        return
    if target.startswith(DOMAIN_PREFIX):
        wiring.domains().revoke_keys(scope)
        wiring.exports().withdraw(scope.account, SURFACE, {"domain": scope.domain})
    elif target.startswith(GROUP):
        wiring.exports().withdraw(scope.account, SURFACE, {"domain": scope.domain, "group": target})
    if removals.remove(removal, lambda: context.get_remaining_time_in_millis() / 1000):
        removals.done(removal)
    else:
        removals.ask(scope, target, delay=0)
