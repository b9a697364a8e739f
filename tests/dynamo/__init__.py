"""A DynamoDB of dictionaries, behind the real botocore: for histories by the thousand, where moto takes too long.

It is as strict as AWS about what it knows, and refuses what it does not; generated sequences of operations run against
moto as well, so that the two are held to agree. Beyond moto it counts units as AWS does, honours the tokens of
transactions, stays quick in large partitions, and can be late or hostile.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .operations import Dynamo
from .routing import Aws, moto, response, routed

__all__ = ["Aws", "Dynamo", "moto", "response", "routed", "standing_in"]


@contextmanager
def standing_in(
    *,
    late: bool = False,
    page: int | None = None,
    hostile: random.Random | None = None,
    now: Callable[[], float] = time.time,
) -> Iterator[Dynamo]:
    """While this is open, all that the process asks of DynamoDB goes to tables in memory, which it gives: empty ones,
    as `infrastructure/storage.py` defines them. The options are `Dynamo`'s.
    """
    dynamo = Dynamo(late=late, page=page, hostile=hostile, now=now)
    with routed(dynamo):
        yield dynamo
