"""Whatever is done to statistics, in whatever order, with whatever going wrong: they are what plain arithmetic says."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from hashlib import sha256
from itertools import count
from types import SimpleNamespace
from typing import Any, Protocol
from urllib.parse import quote

import orjson
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from chalice.app import Chalice
from hypothesis import given, note
from hypothesis import strategies as st

from chalicelib import wiring
from chalicelib.aws import clients
from chalicelib.aws.accounts import Created
from chalicelib.aws.lookup import Tables
from chalicelib.aws.removals import GRACE, Removals
from chalicelib.aws.statistics import Statistics
from chalicelib.core.accounts import Permission, Scope
from chalicelib.core.errors import CountlessError, Invalid, NotFound, Taken, Unauthenticated, Unavailable, Uncertain
from chalicelib.core.statistics import (
    Dated,
    Group,
    Interval,
    Method,
    Once,
    Statistic,
    Update,
    buckets,
    group_of,
    text,
)
from chalicelib.functions.remove import remove
from tests.core.world import (
    AFTER,
    BEFORE,
    CRASH_AFTER,
    CRASH_BEFORE,
    INTERLEAVE,
    START,
    THROTTLE,
    Crash,
    Faults,
)
from tests.dynamo import Dynamo, routed, routing, standing_in
from tests.front import FrontDoor
from tests.histories import histories

from . import model
from .model import Change, Domain, Done, State, plain

_names = count(1)
GROUPS, STATISTICS = ("G", "ä %?#.H"), ("x", "y")
DAYS = ("2026-01-01", "2026-01-01", "2026-01-01", "2026-01-02", "2025-12-31", "0001-01-01", "9999-12-31")
"""One of them often: what happens to one value is what the promises are about."""
VALUES = tuple(
    map(
        Decimal,
        ("1", "0.1", "-3", "0.000000000000000001", "9999999999999999999.999999999999999999", "-9999999999999999999"),
    )
)
_LOST: set[Any] = {("error", "Uncertain"), ("error", "Unavailable")}
_ID = re.compile(r"(?:grp|sta)_[0-9a-z]{16,32}")


@dataclass
class Aimed(Faults):
    """Faults that may spare what only reads: between reading and writing it is that promises break."""

    writes: bool = False

    def __call__(self, request: AWSPreparedRequest, **rest: Any) -> AWSResponse | None:
        if self.writes and routing.operation(request)[1] not in ("UpdateItem", "TransactWriteItems", "BatchWriteItem"):
            return self.aws(request)
        return super().__call__(request, **rest)


# What may be done, before it is known which ids there are

Ref = str | int
"""A name, or which of the ids that were seen."""
group_refs: st.SearchStrategy[Ref] = st.sampled_from((GROUPS[0],) * 4 + (GROUPS[1], 0, 1, 2))
statistic_refs: st.SearchStrategy[Ref] = st.sampled_from((STATISTICS[0],) * 4 + (STATISTICS[1], 0, 1, 2))
days = st.sampled_from(DAYS)
idempotency = st.sampled_from((None, None, None, "k1", "k1", "k2"))
changes = st.tuples(group_refs, statistic_refs, st.sampled_from(list(Method)), st.sampled_from(VALUES), days)
Operation = tuple[Any, ...]
_KINDS: dict[str, tuple[int, st.SearchStrategy[Operation]]] = {
    "update": (16, st.tuples(changes, idempotency)),
    "batch": (4, st.tuples(st.lists(changes, min_size=1, max_size=4), idempotency)),
    "again": (4, st.tuples(st.integers(0, 2))),
    "delete day": (3, st.tuples(group_refs, statistic_refs, days)),
    "purge": (2, st.tuples(group_refs, statistic_refs)),
    "create group": (1, st.tuples(st.sampled_from(GROUPS))),
    "rename": (2, st.tuples(group_refs, st.sampled_from(GROUPS))),
    "delete group": (2, st.tuples(group_refs)),
    "statistic": (2, st.tuples(group_refs, statistic_refs)),
    "group": (1, st.tuples(group_refs)),
    "remove": (1, st.tuples(st.booleans())),
}
"""What may be done, how often, and what it needs to know."""
_EVENTS: dict[str, tuple[int, st.SearchStrategy[Operation]]] = {
    "time": (2, st.tuples(st.sampled_from((1, GRACE + 1, 90_000)))),
    "crash": (1, st.tuples()),
    "delete domain": (1, st.tuples()),
    "look": (2, st.tuples()),
}


def _any(kinds: dict[str, tuple[int, st.SearchStrategy[Operation]]]) -> st.SearchStrategy[Operation]:
    weighted = [kind for kind, (weight, _) in kinds.items() for _ in range(weight)]
    return st.sampled_from(weighted).flatmap(lambda kind: kinds[kind][1].map(lambda rest: (kind, *rest)))


writes, steps = _any(_KINDS), _any(_KINDS | _EVENTS)
some_steps = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), steps), max_size=10)
scripts = st.tuples(some_steps, some_steps, some_steps).map(lambda parts: [step for part in parts for step in part])
"""Which process does it, and whether it is done to the newest domain (mostly) or the one before."""
interruptions = st.lists(writes | st.sampled_from((("same",), ("rival",))), min_size=4, max_size=12)
"""What other processes do in between; often just what the first one is about to do, be it the same request sent twice
or another one without its idempotency key.
"""
some_faults = st.lists(
    st.tuples(
        st.sampled_from((0, 0, 1, 2, 4)),
        st.sampled_from(
            (INTERLEAVE, INTERLEAVE, INTERLEAVE, AFTER, AFTER, BEFORE, CRASH_AFTER, CRASH_BEFORE, THROTTLE)
        ),
        st.sampled_from((False, False, True)),
    ),
    max_size=10,
)
faults = st.builds(
    lambda first, second, writes: Aimed([*first, *second], writes=writes),
    some_faults,
    some_faults,
    st.sampled_from((True, True, True, False)),
)


@cache
def _begin() -> tuple[Dynamo, Created]:
    """Tables with an account: made once, since a password takes its time."""
    dynamo = Dynamo()
    with routed(dynamo):
        made = wiring.accounts().create_account(
            name="model", username="model", email="m@example.com", password="correct horse", domain="d", cname=None
        )
    return dynamo, made


class Store(Protocol):
    """What the model's operations are done with."""

    def update(self, scope: Scope, update: Update, once: Once | None = None) -> Statistic: ...
    def batch(
        self, scope: Scope, updates: Sequence[Update], once: Once | None
    ) -> Sequence[Statistic | CountlessError]: ...
    def delete_day(self, scope: Scope, group: str, statistic: str, day: str) -> Statistic: ...
    def purge(self, scope: Scope, group: str, statistic: str) -> Statistic: ...
    def create_group(self, scope: Scope, name: str) -> Group: ...
    def update_group(self, scope: Scope, ref: str, name: str) -> Group: ...
    def delete_group(self, scope: Scope, ref: str) -> Group: ...
    def statistic(self, scope: Scope, group: str, statistic: str) -> Statistic: ...
    def group(self, scope: Scope, ref: str) -> Group: ...


class Client:
    """The same through the API: what its clients see."""

    def __init__(self, front: FrontDoor, tokens: dict[str, str]) -> None:
        """`tokens` are the keys of domains."""
        self._front = front
        self._tokens = tokens

    def update(self, scope: Scope, update: Update, once: Once | None = None) -> Statistic:
        body = _body(update)
        if update.method is Method.CREATE:
            return _statistic(self._ask(scope, "POST", "/statistics", body, once))
        return _statistic(self._ask(scope, "POST", _path(update.group, update.statistic), body, once))

    def batch(self, scope: Scope, updates: Sequence[Update], once: Once | None) -> list[Statistic | CountlessError]:
        answer = self._ask(scope, "POST", "/statistics/batch", {"updates": [*map(_body, updates)]}, once)
        return [
            _statistic(one["statistic"]) if "statistic" in one else _CODES[one["error"]["code"]]("")
            for one in answer["results"]
        ]

    def delete_day(self, scope: Scope, group: str, statistic: str, day: str) -> Statistic:
        return _statistic(self._ask(scope, "DELETE", f"{_path(group, statistic)}?reference_date={day}"))

    def purge(self, scope: Scope, group: str, statistic: str) -> Statistic:
        return _statistic(self._ask(scope, "DELETE", f"{_path(group, statistic)}?purge=True"))

    def create_group(self, scope: Scope, name: str) -> Group:
        return _group(self._ask(scope, "POST", "/statistic-groups", {"name": name}))

    def update_group(self, scope: Scope, ref: str, name: str) -> Group:
        return _group(self._ask(scope, "PUT", f"/statistic-groups/{quote(ref)}", {"name": name}))

    def delete_group(self, scope: Scope, ref: str) -> Group:
        return _group(self._ask(scope, "DELETE", f"/statistic-groups/{quote(ref)}"))

    def statistic(self, scope: Scope, group: str, statistic: str) -> Statistic:
        return _statistic(self._ask(scope, "GET", _path(group, statistic)))

    def group(self, scope: Scope, ref: str) -> Group:
        return _group(self._ask(scope, "GET", f"/statistic-groups/{quote(ref)}"))

    def _ask(self, scope: Scope, method: str, path: str, body: Any = None, once: Once | None = None) -> Any:
        headers = {"authorization": f"Bearer {self._tokens[scope.domain]}"}
        if once is not None:
            headers["idempotency-key"] = once.key
        sent = b"" if body is None else orjson.dumps(body)
        reply = self._front.request(method, f"/v1/api{path}", headers=headers, body=sent)
        answer = json.loads(reply.body, parse_float=Decimal, parse_int=Decimal)
        if reply.status in (200, 201):
            return answer
        assert "unexpected" not in answer["error"]["message"], answer
        raise _CODES[answer["error"]["code"]](f"{answer}")


_CODES: dict[str, Callable[[str], CountlessError]] = {
    "BAD_REQUEST": Invalid,
    "UNAUTHORIZED": Unauthenticated,
    "NOT_FOUND": NotFound,
    "CONFLICT": Taken,
    "UNAVAILABLE": Unavailable,
    "INTERNAL_ERROR": Uncertain,
    "TOO_MANY_REQUESTS": Unavailable,
}
"""What errors mean to a client. DynamoDB may refuse to count its requests, too: then nothing was done."""


def _path(group: str, statistic: str) -> str:
    return f"/statistics/{quote(group)}/{quote(statistic)}"


def _body(update: Update) -> dict[str, Any]:
    said = {"group": update.group, "name": update.statistic, "method": update.method.value}
    if update.method is Method.CREATE:
        del said["method"]
    return {**said, "value": orjson.Fragment(text(update.value)), "reference_date": update.day}


def _statistic(said: Any) -> Statistic:
    values = None
    if "values" in said:
        values = tuple(Dated(one["reference_date"], one["value"]) for one in said["values"])
    shown = None if said["reference_date"] is None else Dated(said["reference_date"], said["value"])
    return Statistic(said["id"], said["group"], said["name"], 0, 0, shown, values)


def _group(said: Any) -> Group:
    return Group(said["id"], said["name"], int(said["statistics"]), 0, 0)


@dataclass
class History:
    """Two processes, some domains, a clock, and the states of them that are possible."""

    dynamo: Dynamo
    owner: Created
    others: list[Operation]
    faults: Faults
    front: FrontDoor | None = None
    """The way to the service, if its clients' is to be gone."""
    now: int = START
    scopes: list[Scope] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    states: list[State] = field(default_factory=lambda: [[]])
    processes: list[Statistics] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    """Ids that were seen in answers."""
    statistics: list[str] = field(default_factory=list)
    keyed: list[Operation] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    running: Operation = ()
    """What one process is about to do."""
    _meanwhile: list[Done] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.processes = [self._process() for _ in range(2)]
        self.faults.meanwhile = self._interrupt
        self.new_domain()

    def _process(self) -> Statistics:
        given = wiring.settings()
        tables = Tables(given.documents_table, given.statistics_table)
        return Statistics(clients.dynamodb(), clients.dynamodb_once(), tables, lambda: float(self.now))

    def removals(self) -> Removals:
        """The removals, with a queue that loses everything: the schedule makes it good."""
        queue: Any = SimpleNamespace(send_message=lambda **_: None)
        table = wiring.settings().statistics_table
        return Removals(clients.dynamodb(), queue, table=table, queue="", clock=lambda: float(self.now))

    def new_domain(self) -> None:
        """Another domain of the account, with nothing in it."""
        permissions = Permission.STATISTICS_READ | Permission.STATISTICS_WRITE
        name = f"d{next(_names)}"
        with self.faults.spared():
            made, token = wiring.domains().create(self.owner.account.id, name, permissions, self.owner.user.id, "key")
        self.scopes.append(made.scope)
        self.tokens[made.scope.domain] = token
        for state in self.states:
            state.append(Domain())

    # Doing

    def perform(self, process: int, which: int, operation: Operation) -> None:
        """Does an operation, and keeps of the possible states those that explain what came of it."""
        match operation:
            case ("time", seconds):
                self.now += seconds
                self.dynamo.expire(self.now)
            case ("crash",):
                self.processes[process] = self._process()
            case ("look",):
                self.look()
            case _:
                self._meanwhile = []
                self.running = self._repeated(operation)
                self._judge(self._do(process, which, operation), self._meanwhile)
                if operation[0] == "delete domain":
                    self.new_domain()

    def _interrupt(self) -> None:
        """Another process does something between two calls of the first; what it deletes, the schedule looks for."""
        if self.others:
            asked = self.others.pop(0)
            if asked[0] in ("same", "rival"):
                asked = (*self.running[:-1], None) if asked[0] == "rival" and self._is_keyed() else self.running
            self._meanwhile.append(self._do(1, 0, asked))
            if asked[0] in ("purge", "delete group"):
                self._meanwhile.append(self._do(1, 0, ("remove", False)))

    def _is_keyed(self) -> bool:
        return self.running[0] in ("update", "batch")

    def _repeated(self, operation: Operation) -> Operation:
        """What is to be done again, in its own words."""
        if operation[0] == "again" and self.keyed:
            operation = self.keyed[-1 - operation[1] % len(self.keyed)]
        return operation

    def _judge(self, done: Done, meanwhile: list[Done]) -> None:
        states = model.possible(self.states, done, meanwhile)
        assert states, "nothing explains\n" + "\n".join(self.told)
        assert len(states) < 3000, "too much is possible\n" + "\n".join(self.told)
        self.states = states

    def _do(self, process: int, which: int, operation: Operation) -> Done:
        number = max(0, len(self.scopes) - (2 if which == 3 else 1))
        scope = self.scopes[number]
        store: Store = Client(self.front, self.tokens) if self.front else self.processes[process]
        operation = self._repeated(operation)
        if operation[0] == "again":
            return Done(number, [])  # there is nothing yet that could be repeated
        act, planned, last_writes = self._planned(store, scope, operation)
        said = f"{scope.domain} {operation}"
        self.told.append(f"begin {said}")
        done = Done(number, planned)
        try:
            done.answer = self._learnt(plain(act()))
            done.untouched = self._failed(done)
        except Crash:
            self.processes[process] = self._process()
        except (Unavailable, Uncertain) as error:
            assert self.faults.enabled, "it fails though nothing else does"
            done.untouched = isinstance(error, Unavailable) and last_writes
            self.told.append(f"{error!r}")
        except CountlessError as error:
            done.answer = plain(error)
        self.told.append(f"end {said}: {done.answer}")
        return done

    def _failed(self, done: Done) -> bool:
        """Whether a batch came to nothing for sure. What is not sure, has no answer."""
        match done.answer:
            case ("batch", tuple(answers)) if any(
                it in (("error", "Uncertain"), ("error", "Unavailable")) for it in answers
            ):
                assert len(set(answers)) == 1, "a part of a transaction failed"
                done.answer = None
                return bool(answers[0] == ("error", "Unavailable"))
        return False

    def _learnt(self, answer: model.Plain) -> model.Plain:
        if answer[0] == "group" and answer[1] not in self.groups:
            self.groups.append(answer[1])
        if answer[0] == "statistic" and answer[1] not in self.statistics:
            self.statistics.append(answer[1])
            if group_of(answer[1]) not in self.groups:
                self.groups.append(group_of(answer[1]))
        return answer

    def _group(self, ref: Ref) -> str:
        if isinstance(ref, int):
            return self.groups[ref % len(self.groups)] if self.groups else GROUPS[0]
        return ref

    def _statistic(self, ref: Ref) -> str:
        if isinstance(ref, int):
            return self.statistics[ref % len(self.statistics)] if self.statistics else STATISTICS[0]
        return ref

    def _planned(  # noqa: C901, PLR0911 - a case for each operation
        self, store: Store, scope: Scope, operation: Operation
    ) -> tuple[Callable[[], object], list[model.Step], bool]:
        """What to call, what the model makes of it, and whether `Unavailable` says that no value was written."""
        match operation:
            case ("update", asked, key):
                change, once = self._change(asked), _once(key, [self._change(asked)])
                self._keep(("update", asked, key), key)
                planned = model.updating([change], key, self.now, batch=False)
                return lambda: store.update(scope, _update(change), once), planned, True
            case ("batch", asked, key):
                some = [self._of_batch(self._change(one)) for one in asked]
                self._keep(operation, key)
                planned = model.updating(some, key, self.now, batch=True)
                return lambda: [*store.batch(scope, [*map(_update, some)], _once(key, some))], planned, True
            case ("delete day", group, statistic, day):
                group, statistic = self._group(group), self._statistic(statistic)
                planned = model.deleting_day(group, statistic, day)
                return lambda: store.delete_day(scope, group, statistic, day), planned, True
            case ("purge", group, statistic):
                group, statistic = self._group(group), self._statistic(statistic)
                return lambda: store.purge(scope, group, statistic), model.purging(group, statistic), False
            case ("create group", name):
                return lambda: store.create_group(scope, name), model.creating_group(name), False
            case ("rename", group, name):
                group = self._group(group)
                return lambda: store.update_group(scope, group, name), model.renaming(group, name), False
            case ("delete group", group):
                group = self._group(group)
                return lambda: store.delete_group(scope, group), model.deleting_group(group), False
            case ("statistic", group, statistic):
                group, statistic = self._group(group), self._statistic(statistic)
                return lambda: store.statistic(scope, group, statistic), model.reading(group, statistic), False
            case ("group", group):
                group = self._group(group)
                return lambda: store.group(scope, group), model.reading_group(group), False
            case ("delete domain",):
                return lambda: _nothing(wiring.domains().delete(scope)), model.deleting_domain(), False
            case ("remove", hurried):
                return lambda: self.remove(5.0 if hurried else 300.0), [], False
        raise ValueError(operation)

    def _keep(self, operation: Operation, key: str | None) -> None:
        """The operation as it is now, ids and all: whoever repeats it sends the same."""
        if key is None:
            return
        fixed = operation[1] if operation[0] == "batch" else [operation[1]]
        fixed = [(self._group(one[0]), self._statistic(one[1]), *one[2:]) for one in fixed]
        kept = (operation[0], fixed if operation[0] == "batch" else fixed[0], key)
        if kept not in self.keyed:
            self.keyed.append(kept)

    def _change(self, asked: tuple[Any, ...]) -> Change:
        group, statistic, method, value, day = asked
        return Change(self._group(group), self._statistic(statistic), method, value, day)

    def _of_batch(self, change: Change) -> Change:
        """The API's batches know no `create`."""
        return replace(change, method=Method.SET) if self.front and change.method is Method.CREATE else change

    def remove(self, left: float) -> None:
        """The schedule asks for every removal that waits; each is tried once."""
        try:
            waiting = [entry for _, entry in self.removals().waiting_between("", "~")]
        except Unavailable:
            return
        context = SimpleNamespace(function_name="remove", get_remaining_time_in_millis=lambda: left * 1000)
        for one in waiting:
            body = json.dumps({"account": one.scope.account, "domain": one.scope.domain, "target": one.target})
            record = {"messageId": "1", "body": body, "attributes": {}, "eventSourceARN": "arn:aws:sqs:::removals"}
            answer = remove({"Records": [record]}, context)
            assert self.faults.enabled or not answer["batchItemFailures"], "a removal fails though nothing else does"

    # Looking

    def look(self) -> None:
        """Everything that can be read of every domain is what one of the states says."""
        with self.faults.spared():
            for number, scope in enumerate(self.scopes):
                seen = self._seen(scope)
                before = self.states
                self.states = [state for state in before if _shows(state[number], seen)]
                assert self.states, f"nothing explains {seen}\n" + "\n".join(self.told) + f"\n{before[:3]}"

    def _seen(self, scope: Scope) -> Any:
        """Groups with their statistics and values, as three ways of reading them tell."""
        store = self.processes[0]
        try:
            groups = _all(lambda after: store.groups(scope, 2, after))
        except Unauthenticated:
            return None
        seen: dict[str, Any] = {group.name: (group.id, group.statistics, {}) for group in groups}
        listed = _all(lambda after: store.statistics(scope, 3, after))
        rows: dict[tuple[str, str, str], dict[str, Decimal]] = {}
        for batch in store.rows(scope):
            for _, group, number, statistic, day, value in batch.rows:
                rows.setdefault((group, statistic, number), {})[day] = Decimal(value)
        for one in listed:
            found = store.statistic(scope, "", one.id)
            values = dict(found.values or ())
            assert (found.id, found.group, found.name, found.shown) == (one.id, one.group, one.name, one.shown)
            assert one.shown == (found.values[-1] if found.values else None)
            assert rows.pop((one.group, one.name, one.id), {}) == values
            assert sum(bucket.days for bucket in buckets(found.values or (), Interval.WEEK)) == len(values)
            seen[one.group][2][one.name] = (one.id, values)
        assert not rows, "an export knows what no list does"
        return seen

    def finish(self) -> None:
        """Nothing goes wrong any more: what was deleted goes from storage, then all that is left is deleted."""
        self.faults.enabled = False
        self.look()
        self._clean()
        self.look()
        store = self.processes[1]
        for scope in self.scopes:
            for group, _, _ in (self._seen(scope) or {}).values():
                store.delete_group(scope, group)
        self._clean()
        table = wiring.settings().statistics_table
        assert [item for item in self.dynamo.items(table) if not item["pk"]["S"].endswith("/once")] == []
        for scope in self.scopes:
            with suppress(NotFound):
                wiring.domains().delete(scope)
        self._clean()
        assert self.dynamo.items(table) == []
        for scope in self.scopes:
            left = self.dynamo.holding(scope.domain)
            assert all(item["pk"]["S"].startswith("token#") and item["revoked"]["BOOL"] for item in left)

    def _clean(self) -> None:
        """Some time after the last delete, removals have removed all that can be found nowhere else."""
        self.now += GRACE + 1
        for _ in range(2):
            self.remove(300.0)
        assert [entry for _, entry in self.removals().waiting_between("", "~")] == []
        kept = {number for scope in self.scopes for number in self._ids(scope)}
        for item in self.dynamo.items(wiring.settings().statistics_table):
            if not item["pk"]["S"].endswith("/once"):
                assert set(_ID.findall(str(item))) <= kept, "something is left of what was deleted"

    def _ids(self, scope: Scope) -> Iterator[str]:
        for group, _, members in (self._seen(scope) or {}).values():
            yield group
            yield from (number for number, _ in members.values())


def _nothing(_: object) -> None:
    """An answer that is not looked at."""


def _all(page: Callable[[str], Any]) -> list[Any]:
    found: list[Any] = []
    after: str | None = ""
    while after is not None:
        part = page(after)
        found += part.entries
        after = part.after
    assert [one.id for one in found] == sorted({one.id for one in found}), "a list is ordered, and names each once"
    return found


def _shows(domain: Domain, seen: Any) -> bool:
    """Whether this is what was seen of a domain; learns ids."""
    if seen is None or not domain.alive:
        return seen is None and not domain.alive
    if seen.keys() != domain.names.keys():
        return False
    for name, (group, number, members) in seen.items():
        head = domain.heads[domain.names[name]]
        if (
            not domain.is_group(domain.names[name], group)
            or members.keys() != head.members.keys()
            or number != len(members)
        ):
            return False
        for label, (one, values) in members.items():
            series = head.members[label]
            if not domain.is_statistic(series, one) or domain.series[series].values != values:
                return False
    return True


def _update(change: Change) -> Update:
    return Update(change.group, change.statistic, change.method, change.value, change.day)


def _once(key: str | None, asked: list[Change]) -> Once | None:
    if key is None:
        return None
    return Once(sha256(key.encode()).hexdigest(), sha256(repr(asked).encode()).hexdigest())


@contextmanager
def _history(
    struck: Aimed, others: list[Operation], page: int | None, front: FrontDoor | None = None
) -> Iterator[History]:
    begun, owner = _begin()
    with pytest.MonkeyPatch.context() as patch:
        history: list[History] = []
        patch.setattr(wiring, "now", lambda: float(history[0].now) if history else float(START))
        dynamo = begun.copy(page=page, now=wiring.now)
        struck.aws = dynamo
        patch.setattr("chalicelib.core.deadlines.sleep", lambda _: None)
        with routed(struck):
            history.append(History(dynamo, owner, list(others), struck, front))
            patch.setattr(wiring, "removals", history[0].removals)
            yield history[0]


any_history = given(scripts, faults, interruptions, st.sampled_from((None, None, 1, 2)))


def _test(
    script: list[Any], struck: Aimed, others: list[Operation], page: int | None, front: FrontDoor | None = None
) -> None:
    with _history(struck, others, page, front) as history:
        for process, which, operation in script:
            history.perform(process, which, operation)
        note("\n".join(history.told))
        history.finish()


_ONE: tuple[Operation, ...] = (
    *(("update", ("G", "x", method, Decimal("0.1"), DAYS[0]), None) for method in Method),
    ("update", ("G", "x", Method.ADD, Decimal("0.1"), DAYS[0]), "k1"),
    ("update", ("G", "x", Method.CREATE, Decimal("0.1"), "2026-02-01"), "k1"),
    ("update", ("G", "z", Method.CREATE, Decimal("0.1"), DAYS[0]), "k1"),
    ("update", ("N", "z", Method.DECREMENT, Decimal("0.1"), DAYS[0]), None),
    ("batch", [(g, "x", Method.ADD, Decimal(7), DAYS[0]) for g in ("G", "N", "G")], "k1"),
    ("batch", [("G", n, Method.SUBTRACT, Decimal(7), DAYS[0]) for n in ("x", "z")], None),
    ("delete day", "G", "x", DAYS[0]),
    ("purge", "G", "x"),
    ("create group", "N"),
    ("rename", "G", "N"),
    ("rename", "N", "N"),
    ("rename", "M", "N"),
    ("rename", "N", "M"),
    ("delete group", "G"),
    ("statistic", "G", "x"),
    ("delete domain",),
)
"""Each kind of operation, on a group G that has a statistic x with a value."""
_RIVALS: tuple[Operation, ...] = (("same",), ("rival",), ("purge", "G", "x"), ("delete group", "G"))
_POSITIONS = 5


@contextmanager
def _beginning() -> Iterator[History]:
    with _history(Aimed([]), [], None) as history:
        history.perform(0, 0, ("update", ("G", "x", Method.SET, Decimal(1), DAYS[0]), None))
        history.perform(1, 0, ("update", ("G", "y", Method.SET, Decimal(2), DAYS[0]), None))
        yield history


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("operation", _ONE, ids=str)
class TestEach:
    """What the histories meet by chance, one by one."""

    @pytest.mark.parametrize(
        ("others", "step"), [(_RIVALS, 3), pytest.param(_ONE, 1, marks=pytest.mark.prove)], ids=["rivals", "all"]
    )
    def test_another_may_come_at_any_moment_of_it(
        self, others: tuple[Operation, ...], step: int, operation: Operation
    ) -> None:
        """The same once more, the same without its key, or a deletion that its removal follows at once."""
        for number, other in enumerate(others):
            for position in range(number % step, _POSITIONS, step):
                with _beginning() as history:
                    history.others = [other]
                    history.faults.plan = [(position, INTERLEAVE, False)]
                    history.perform(0, 0, operation)
                    if history.others:
                        break  # it had ended before
                    history.finish()

    @pytest.mark.parametrize(
        "kind", [AFTER, *(pytest.param(kind, marks=pytest.mark.prove) for kind in (BEFORE, THROTTLE, CRASH_AFTER))]
    )
    @pytest.mark.parametrize(
        ("then", "step"),
        [((), 2), *(pytest.param(then, 1, marks=pytest.mark.prove) for then in ((), (BEFORE,)))],
        ids=["once", "at each moment", "for long"],
    )
    def test_it_may_fail_at_any_moment_and_be_tried_again(
        self, operation: Operation, kind: int, then: tuple[int, ...], step: int
    ) -> None:
        """Once, or for so long that what follows fails, too."""
        for position in range(0, _POSITIONS, step):
            with _beginning() as history:
                history.faults.plan = [(position, kind, True), *((0, more, True) for more in then)]
                history.perform(0, 0, operation)
                history.faults.plan = []
                history.look()
                if operation[0] != "delete domain":
                    history.perform(1, 0, operation)
                history.finish()


@pytest.mark.usefixtures("world")
def test_a_batch_whose_group_goes_while_it_makes_what_is_missing_makes_it_together_or_not_at_all() -> None:
    """A group goes at any moment of a batch that makes statistics in it and in another, and the process then dies at
    any other: nothing that the batch has made is there without the rest.
    """
    batch = (
        "batch",
        [(ref, name, Method.ADD, Decimal(7), DAYS[0]) for ref, name in ((0, "v"), ("G", "w"), ("H", "y"))],
    )
    for gone in range(3):
        for dies in range(_POSITIONS + 1):
            with _beginning() as history:
                history.perform(0, 0, ("update", ("H", "x", Method.SET, Decimal(1), DAYS[0]), None))
                history.others = [("delete group", "G")]
                history.faults.plan = [(gone, INTERLEAVE, False), (dies, CRASH_AFTER, False)]
                history.perform(0, 0, (*batch, None))
                history.faults.plan = []
                history.finish()


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    "other",
    [("rename", "N", "M"), ("rename", "N", "N"), ("batch", [("M", "v", Method.ADD, Decimal(1), DAYS[0])], None)],
    ids=str,
)
def test_a_group_that_is_made_for_want_of_another_is_made_while_that_is_still_missing(other: Operation) -> None:
    """A renaming of what is not there makes a group of the new name, at a moment when the old name is still free."""
    for position in range(_POSITIONS):
        for kind in (INTERLEAVE, AFTER):
            with _beginning() as history:
                history.others = [other]
                history.faults.plan = [(position, INTERLEAVE, False), *([(0, AFTER, True)] if kind == AFTER else [])]
                history.perform(0, 0, ("rename", "M", "N"))
                history.faults.plan = []
                history.finish()


@pytest.mark.usefixtures("world")
def test_what_is_purged_while_its_group_is_renamed_is_shown_by_the_name_under_which_it_was_found() -> None:
    """As in the answers of updates, at whichever moment of the purge the renaming comes."""
    for position in range(_POSITIONS):
        with _beginning() as history:
            history.others = [("rename", "G", "N")]
            history.faults.plan = [(position, INTERLEAVE, False)]
            history.perform(0, 0, ("purge", "G", "x"))
            history.finish()


@pytest.mark.usefixtures("world")
def test_what_purges_show_and_what_is_left_comes_to_all_that_was_counted() -> None:
    """However many count and purge at the same time: each count is in one purge's answer, or in what is left."""
    with standing_in():
        wiring.forget()
        owner = wiring.accounts().create_account(
            name="purge", username="purge", email="purge@example.com", password="correct horse", domain="p", cname=None
        )
        store, scope = wiring.statistics(), owner.statistics.scope
        update = Update("G", "x", Method.INCREMENT, Decimal(0), DAYS[0])
        others = [
            lambda: store.update(scope, update),
            lambda: store.update(scope, replace(update, day=DAYS[4])),
            lambda: store.batch(scope, [update, replace(update, day=DAYS[3])], None),
        ]
        purged: list[Decimal] = []

        def purging() -> None:
            for _ in range(15):
                with suppress(NotFound):
                    purged.extend(dated.value for dated in store.purge(scope, "G", "x").values or ())

        def counting(act: Callable[[], object]) -> None:
            for _ in range(15):
                act()

        with ThreadPoolExecutor() as pool:
            running = [pool.submit(purging), *(pool.submit(counting, act) for act in others)]
        for one in running:
            one.result()
        with suppress(NotFound):
            purging()
        assert sum(purged) == 15 * 4
        assert store.statistics(scope, 10).entries == ()
    wiring.forget()


@pytest.mark.usefixtures("world")
class TestModel:
    """Each history: processes die, calls fail before and after they act, others come between any two of them."""

    @histories(20)
    @any_history
    def test_whatever_happens_values_are_what_plain_arithmetic_says(
        self, script: list[Any], struck: Aimed, others: list[Operation], page: int | None
    ) -> None:
        """What was answered was done once; what was refused was not; what got lost was done once or not at all."""
        _test(script, struck, others, page)

    @pytest.mark.parametrize("key", [None, "k1"])
    @pytest.mark.parametrize("sign", [1, -1])
    def test_a_sum_may_reach_the_bounds_but_not_pass_them(self, key: str | None, sign: int) -> None:
        """By one smallest part of a value; what is refused changes nothing."""
        largest, nearly, least = (
            Decimal(digits).copy_sign(sign) for digits in (f"{'9' * 19}.{'9' * 18}", f"{'9' * 19}.{'9' * 17}8", "1e-18")
        )
        with _history(Aimed([]), [], None) as history:
            for operation in (
                ("update", ("G", "x", Method.SET, nearly, DAYS[0]), None),
                ("update", ("G", "x", Method.ADD, least, DAYS[0]), key),
                ("statistic", "G", "x"),
                ("update", ("G", "x", Method.ADD, least, DAYS[0]), key and "k2"),
                (
                    "update",
                    ("G", "x", Method.INCREMENT if sign > 0 else Method.DECREMENT, least, DAYS[0]),
                    key and "k3",
                ),
                ("update", ("G", "x", Method.SUBTRACT, largest, DAYS[0]), key and "k4"),
            ):
                history.perform(0, 0, operation)
            history.look()
            assert [told.rpartition("(")[2] for told in history.told if "'Invalid'" in told] == [
                "'error', 'Invalid')"
            ] * 2
            assert history.states[0][0].series[0].values == {DAYS[0]: Decimal(0)}

    @histories(10)
    @any_history
    def test_so_it_is_for_clients_of_the_api(
        self, app: Chalice, script: list[Any], struck: Aimed, others: list[Operation], page: int | None
    ) -> None:
        """Through the front door, with keys, limits and paths."""
        _test(script, struck, others, page, FrontDoor(app))

    @pytest.mark.prove
    @pytest.mark.usefixtures("share")
    @histories(2_500)
    @any_history
    def test_so_it_is_for_as_long_as_one_cares_to_try(
        self, script: list[Any], struck: Aimed, others: list[Operation], page: int | None
    ) -> None:
        """As above, for an hour."""
        _test(script, struck, others, page)
