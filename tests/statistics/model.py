"""What statistics promise, told as plainly as can be: dictionaries of `Decimal`, and an operation as a few steps.

A history is held against it operation by operation. As long as an answer is missing, or operations overlapped, several
states are possible; each answer leaves those that explain it. None left means that a promise was broken.

An operation that makes what is not there has a step that makes all of it, and one for the value: others may come
between them, and a failure may end it after any of them. A group or statistic that was found stays the one that was
found, even if somebody deletes it before the value is written: as if the update had been first.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Any

from chalicelib.core.statistics import Group, Method, Statistic, group_of

DAY = 86_400
LIMIT = Decimal("1e19")
_WIDE = Context(prec=200)

Plain = tuple[Any, ...]
"""An answer as it can be compared: what it is, the id (in the model: which object it is), and the rest."""


def plain(answer: object) -> Plain:
    """An answer of the service's."""
    match answer:
        case Statistic():
            values = None if answer.values is None else tuple(map(tuple, answer.values))
            shown = None if answer.shown is None else tuple(answer.shown)
            return ("statistic", answer.id, answer.group, answer.name, shown, values)
        case Group():
            return ("group", answer.id, answer.name, answer.statistics)
        case list():
            return ("batch", tuple(map(plain, answer)))
        case Exception():
            return ("error", type(answer).__name__)
        case _:
            return ("nothing",)


def error(name: str) -> Plain:
    """A refusal."""
    return ("error", name)


@dataclass
class Head:
    """A group."""

    id: str | None
    name: str
    members: dict[str, int]


@dataclass
class Series:
    """A statistic."""

    id: str | None
    owner: int
    """The number of its group."""
    values: dict[str, Decimal]
    sealed: bool = False
    """Whether it was purged, and somebody told what it was: nothing is written to it any more."""


@dataclass
class Domain:
    """What a domain holds. Objects have numbers, since their ids are not always known."""

    alive: bool = True
    names: dict[str, int] = field(default_factory=dict)
    heads: dict[int, Head] = field(default_factory=dict)
    """Groups by number, those that were deleted too."""
    series: dict[int, Series] = field(default_factory=dict)
    once: dict[str, tuple[int, str, Plain]] = field(default_factory=dict)
    """By idempotency key: when it was used, for which request, and what was answered."""

    def copy(self) -> "Domain":
        """The same, apart."""
        return Domain(
            self.alive,
            dict(self.names),
            {number: Head(head.id, head.name, dict(head.members)) for number, head in self.heads.items()},
            {number: Series(one.id, one.owner, dict(one.values), one.sealed) for number, one in self.series.items()},
            dict(self.once),
        )

    def settled(self) -> "Domain":
        """The same between operations: what nobody can find any more is left out, and numbers go by names."""
        groups = [self.names[name] for name in sorted(self.names)]
        series = [self.heads[g].members[name] for g in groups for name in sorted(self.heads[g].members)]
        for _, _, (_, answers) in self.once.values():
            series += [told[1] for told in answers if told[0] == "statistic"]
        series = list(dict.fromkeys(series))
        groups = list(dict.fromkeys([*groups, *(self.series[number].owner for number in series)]))
        head, one = ({old: new for new, old in enumerate(kept)} for kept in (groups, series))
        kept = set(self.names.values())
        return Domain(
            self.alive,
            {name: head[number] for name, number in self.names.items()},
            {
                head[number]: Head(self.heads[number].id, *self._kept(number, one, attached=number in kept))
                for number in groups
            },
            {
                one[number]: Series(self.series[number].id, head[self.series[number].owner], self._values(number))
                for number in series
            },
            {
                key: (at, asked, (kind, tuple((a[0], one[a[1]], *a[2:]) if a[0] == "statistic" else a for a in told)))
                for key, (at, asked, (kind, told)) in self.once.items()
            },
        )

    def _kept(self, number: int, one: Mapping[int, int], *, attached: bool) -> tuple[str, dict[str, int]]:
        head = self.heads[number]
        return (head.name, {name: one[member] for name, member in head.members.items()}) if attached else ("", {})

    def _values(self, number: int) -> dict[str, Decimal]:
        """Those of a statistic that can be found; of others, nobody will ask."""
        one = self.series[number]
        return dict(one.values) if self.has((one.owner, number)) else {}

    # Finding and making

    def group(self, ref: str) -> int | None:
        """A group by name or id."""
        if ref in self.names:
            return self.names[ref]
        return next((number for number in self.names.values() if self.heads[number].id == ref), None)

    def statistic(self, group: str, ref: str) -> tuple[int, int] | None:
        """The numbers of group and statistic, by names or ids; an id of a statistic needs no group."""
        owners = list(self.names.values()) if not group else [self.group(group)]
        for owner in owners:
            if owner is None:
                continue
            if (found := self.member(owner, ref)) is not None:
                return found
        return None

    def member(self, owner: int, ref: str) -> tuple[int, int] | None:
        """The numbers of a group and of its statistic with this name or id."""
        members = self.heads[owner].members
        if ref in members:
            return owner, members[ref]
        return next(((owner, number) for number in members.values() if self.series[number].id == ref), None)

    def has(self, found: tuple[int, int]) -> bool:
        """Whether group and statistic can still be found."""
        return found[0] in self.names.values() and found[1] in self.heads[found[0]].members.values()

    def make_group(self, name: str) -> int:
        """A new group."""
        number = len(self.heads)
        self.names[name] = number
        self.heads[number] = Head(None, name, {})
        return number

    def make_statistic(self, owner: int, name: str) -> int:
        """A new statistic."""
        number = len(self.series)
        self.heads[owner].members[name] = number
        self.series[number] = Series(None, owner, {})
        return number

    # Telling

    def told(self, owner: int, number: int, shown: str | None = None, *, values: bool = False) -> Plain:
        """A statistic as answers show it."""
        head, one = self.heads[owner], self.series[number]
        name = next(name for name, member in head.members.items() if member == number)
        days = tuple(sorted(one.values.items()))
        newest = days[-1] if days else None
        picked = (shown, one.values[shown]) if shown else newest
        return ("statistic", number, head.name, name, picked, days if values else None)

    def told_group(self, number: int) -> Plain:
        """A group as answers show it."""
        head = self.heads[number]
        return ("group", number, head.name, len(head.members))

    def explains(self, told: Plain, answer: Plain, *, loose: bool) -> bool:
        """Whether this is what was answered. Learns ids on the way. `loose` asks for no counts and values of what was
        deleted while others wrote.
        """
        if told[0] != answer[0]:
            return False
        match told[0]:
            case "batch":
                pairs = zip(told[1], answer[1], strict=True)
                return len(told[1]) == len(answer[1]) and all(self.explains(a, b, loose=loose) for a, b in pairs)
            case "statistic":
                rest = 4 if loose else 6
            case "group":
                rest = 3 if loose else 4
            case _:
                return told == answer
        if told[2:rest] != answer[2:rest]:
            return False
        return self.is_group(told[1], answer[1]) if told[0] == "group" else self.is_statistic(told[1], answer[1])

    def is_group(self, number: int, given: str) -> bool:
        """Whether this may be the id of a group; from now on it is."""
        return self._is(self.heads, number, given)

    def is_statistic(self, number: int, given: str) -> bool:
        """Whether this may be the id of a statistic; from now on it is, and says its group's."""
        return self._is(self.series, number, given) and self.is_group(self.series[number].owner, group_of(given))

    def _is(self, known: Mapping[int, Any], number: int, given: str) -> bool:
        """Whether this may be the id of an object; from now on it is."""
        one = known[number]
        if one.id is None and all(other.id != given for other in known.values()):
            one.id = given
        return bool(one.id == given)


Context_ = dict[str, Any]
Step = Callable[[Domain, Context_], Plain | None]
"""Does a part of an operation. An answer ends it; so does `Again`, if what was found has gone."""


class Again(Exception):
    """This cannot have happened so: the operation would have begun anew."""


@dataclass(frozen=True)
class Change:
    """An update, with names or ids as they were sent."""

    group: str
    statistic: str
    method: Method
    value: Decimal
    day: str

    def applied(self, before: Decimal | None) -> Decimal | str:
        """The new value, or which error it is."""
        match self.method:
            case Method.SET:
                return self.value
            case Method.CREATE:
                return "Taken" if before is not None else self.value
            case Method.INCREMENT:
                delta = Decimal(1)
            case Method.DECREMENT:
                delta = Decimal(-1)
            case Method.ADD:
                delta = self.value
            case Method.SUBTRACT:
                delta = _WIDE.minus(self.value)
        found = _WIDE.add(before or Decimal(0), delta)
        return found if -LIMIT < found < LIMIT else "Invalid"


def _alive(domain: Domain, _: Context_) -> Plain | None:
    return None if domain.alive else error("Unauthenticated")


def is_id(ref: str) -> bool:
    """Whether it is an id that is meant."""
    return ref.startswith(("grp_", "sta_"))


def updating(  # noqa: C901 - what its steps share is here
    changes: list[Change], key: str | None, now: int, *, batch: bool
) -> list[Step]:
    """The steps of an update, or of a batch of them. The last one writes."""
    request = repr(changes)

    def begin(domain: Domain, context: Context_) -> Plain | None:
        context["places"], context["owners"] = {}, {}
        return _alive(domain, context) or known(domain)

    def known(domain: Domain) -> Plain | None:
        if key is None or key not in domain.once or domain.once[key][0] + DAY <= now:
            return None
        _, asked, answer = domain.once[key]
        if asked != request:
            return error("Invalid")
        return answer if batch or answer[0] == "error" else answer[1][0]

    def write(domain: Domain, context: Context_) -> Plain | None:
        if (there := known(domain)) is not None:
            return there
        answers: list[Plain] = []
        written = False
        for change in changes:
            found, label = context["places"][change.group, change.statistic]
            if found is None:
                answers.append(error("NotFound"))
                continue
            if domain.series[found[1]].sealed:
                raise Again
            values = domain.series[found[1]].values
            value = change.applied(values.get(change.day))
            if isinstance(value, str):
                answers.append(error(value))
                continue
            values[change.day] = value
            written = True
            answers.append((*label[:4], (change.day, value), None))
        if key is not None and written:
            domain.once[key] = now, request, ("batch", tuple(answers))
        return ("batch", tuple(answers)) if batch else answers[0]

    groups = list(dict.fromkeys(change.group for change in changes))
    return [
        begin,
        *(_owning(ref) for ref in groups),
        *(_filling(ref, changes) for ref in groups),
        _making(changes),
        write,
    ]


def _owning(ref: str) -> Step:
    """Finds a group."""

    def own(domain: Domain, context: Context_) -> Plain | None:
        context["owners"] = {**context["owners"], ref: domain.group(ref)}
        return None

    return own


def _filling(ref: str, changes: list[Change]) -> Step:
    """Finds the statistics of a group, be it still there or not."""

    def fill(domain: Domain, context: Context_) -> Plain | None:
        owner = context["owners"][ref]
        called = ref if owner is None else domain.heads[owner].name
        context["called"] = {**context.get("called", {}), ref: called}
        for change in changes:
            if change.group != ref:
                continue
            found = None if owner is None else domain.member(owner, change.statistic)
            if not ref:
                found = domain.statistic("", change.statistic)
            context["places"][ref, change.statistic] = (found, domain.told(*found) if found else None)
        return None

    return fill


def _making(changes: list[Change]) -> Step:
    """Makes all groups and statistics that are missing, at one moment: if one of them is there by then, or a group that
    was found is not, then none. A group is called what it was called when it was found.
    """

    def make(domain: Domain, context: Context_) -> Plain | None:
        own: set[tuple[int, str]] = set()
        groups: dict[str, int] = {}
        for change in changes:
            ref, name = change.group, change.statistic
            owner = context["owners"][ref]
            if context["places"][ref, name][0] is not None or not ref or is_id(name) or (owner is None and is_id(ref)):
                continue
            if owner is None and ref not in groups:
                if ref in domain.names:
                    raise Again
                groups[ref] = domain.make_group(ref)
            owner = groups[ref] if owner is None else owner
            if owner not in domain.names.values():
                raise Again
            if (owner, name) not in own:
                if name in domain.heads[owner].members:
                    raise Again
                domain.make_statistic(owner, name)
                own.add((owner, name))
            found = owner, domain.heads[owner].members[name]
            told = domain.told(*found)
            context["places"][ref, name] = (found, (*told[:2], context["called"][ref], *told[3:]))
        return None

    return make


def deleting_day(group: str, statistic: str, day: str) -> list[Step]:
    """The steps of the deletion of a day's value."""

    def find(domain: Domain, context: Context_) -> Plain | None:
        found = domain.statistic(group, statistic)
        if found is None:
            return error("NotFound")
        context["found"], context["label"] = found, domain.told(*found)
        return None

    def remove(domain: Domain, context: Context_) -> Plain | None:
        series = domain.series[context["found"][1]]
        values = {} if series.sealed else series.values
        if day not in values:
            return error("NotFound")
        return (*context["label"][:4], (day, values.pop(day)), None)

    return [_alive, find, remove]


def purging(group: str, statistic: str) -> list[Step]:
    """The steps of the deletion of a statistic. Its group is called what it was called when it was found."""

    def find(domain: Domain, context: Context_) -> Plain | None:
        found = domain.statistic(group, statistic)
        if found is None:
            return error("NotFound")
        context["found"], context["label"] = found, domain.told(*found)
        return None

    def purge(domain: Domain, context: Context_) -> Plain | None:
        if not domain.has(context["found"]):
            raise Again
        del domain.heads[context["found"][0]].members[context["label"][3]]
        return None

    def show(domain: Domain, context: Context_) -> Plain | None:
        series = domain.series[context["found"][1]]
        series.sealed, context["exact"] = True, True
        days = tuple(sorted(series.values.items()))
        return (*context["label"][:4], days[-1] if days else None, days)

    return [_alive, find, purge, show]


def creating_group(name: str) -> list[Step]:
    """The steps of making a group."""

    def create(domain: Domain, _: Context_) -> Plain | None:
        return error("Taken") if name in domain.names else domain.told_group(domain.make_group(name))

    return [_alive, create]


def renaming(group: str, name: str) -> list[Step]:
    """The steps of giving a group another name."""

    def rename(domain: Domain, _: Context_) -> Plain | None:
        number = domain.group(group)
        if number is None and is_id(group):
            return error("NotFound")
        if name in domain.names and domain.names[name] != number:
            return error("Taken")
        if number is None:
            number = domain.make_group(name)
        head = domain.heads[number]
        del domain.names[head.name]
        domain.names[name], head.name = number, name
        return domain.told_group(number)

    return [_alive, rename]


def deleting_group(group: str) -> list[Step]:
    """The steps of the deletion of a group."""

    def delete(domain: Domain, _: Context_) -> Plain | None:
        number = domain.group(group)
        if number is None:
            return error("NotFound")
        del domain.names[domain.heads[number].name]
        return domain.told_group(number)

    return [_alive, delete]


def deleting_domain() -> list[Step]:
    """The steps of the deletion of a domain, by somebody whom its end does not lock out."""

    def delete(domain: Domain, _: Context_) -> Plain | None:
        was, domain.alive = domain.alive, False
        return ("nothing",) if was else error("NotFound")

    return [delete]


def reading(group: str, statistic: str) -> list[Step]:
    """The steps of reading a statistic."""

    def find(domain: Domain, context: Context_) -> Plain | None:
        found = domain.statistic(group, statistic)
        if found is None:
            return error("NotFound")
        context["found"], context["label"] = found, domain.told(*found)
        return None

    def read(domain: Domain, context: Context_) -> Plain | None:
        days = tuple(sorted(domain.series[context["found"][1]].values.items()))
        return (*context["label"][:4], days[-1] if days else None, days)

    return [_alive, find, read]


def reading_group(group: str) -> list[Step]:
    """The steps of reading a group."""

    def read(domain: Domain, _: Context_) -> Plain | None:
        number = domain.group(group)
        return error("NotFound") if number is None else domain.told_group(number)

    return [_alive, read]


@dataclass
class Done:
    """An operation that was tried."""

    domain: int
    steps: list[Step]
    answer: Plain | None = None
    """None if it was lost: whatever it has done, it may have stopped anywhere."""
    untouched: bool = False
    """Whether the lost answer says at least that the last step was not done."""


State = list[Domain]


def possible(states: list[State], done: Done, meanwhile: list[Done]) -> list[State]:
    """The states that explain an operation, and others that were done while it ran, one after the other."""
    found: list[State] = []
    for state in states:
        for explained in _explained(state, done, meanwhile):
            one = [domain.settled() for domain in explained]
            if one not in found:
                found.append(one)
    return found


def _explained(state: State, done: Done, meanwhile: list[Done]) -> Iterator[State]:
    if not done.steps:
        for other in meanwhile:
            state = next(iter(_explained(state, other, [])), [])
            if not state:
                return
        yield state
        return
    others = [other for other in meanwhile if other.steps]
    yield from _walk(state, done, others, 0, {}, set(), finished=False)


def _walk(  # noqa: C901, PLR0917 - where it stands, in all respects
    state: State, done: Done, meanwhile: list[Done], at: int, context: Context_, been: set[str], *, finished: bool
) -> Iterator[State]:
    here = repr((state, len(meanwhile), at, context, finished))
    if here in been:
        return
    been.add(here)
    loose = any(other.steps for other in meanwhile) or bool(context.get("loose"))
    context = {**context, "loose": loose}
    if not meanwhile and (finished or done.answer is None):
        yield state
    if meanwhile:
        for after in _explained(state, meanwhile[0], []):
            yield from _walk(after, done, meanwhile[1:], at, {**context, "disturbed": True}, been, finished=finished)
    if context.get("disturbed") and at > 0 and not finished:  # it finds that things have changed, and begins anew
        yield from _walk(state, done, meanwhile, 0, {"loose": loose}, been, finished=False)
    if finished or at == len(done.steps):
        return
    after = [domain.copy() for domain in state]
    inner = {**context, "places": dict(context.get("places", {}))}
    try:
        told = done.steps[at](after[done.domain], inner)
    except Again:
        return
    if told is None:
        yield from _walk(after, done, meanwhile, at + 1, inner, been, finished=False)
    elif done.answer is None:
        if not (done.untouched and told[0] != "error"):
            yield from _walk(after, done, meanwhile, at, inner, been, finished=True)
    elif after[done.domain].explains(told, done.answer, loose=loose and "exact" not in inner):
        yield from _walk(after, done, meanwhile, at, inner, been, finished=True)


__all__ = ["Change", "Domain", "Done", "State", "plain", "possible"]
