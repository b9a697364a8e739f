"""DynamoDB's expressions: read once, then asked of items.

After the developer guide's "Expressions in DynamoDB": operands and functions of conditions, the clauses of updates,
key conditions, projections. What AWS refuses before it looks at an item is refused here too: reserved words, names and
values that are undefined or unused, paths that overlap, needless parentheses.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple

from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

from .values import Item, Value, checked, invalid, kind, ordered, same, size, total

LONGEST = 4096
_TOKEN = re.compile(r"\s*(?:(<>|<=|>=|[=<>(),.\[\]+-])|([#:]?[A-Za-z0-9_]+)|(\S))")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_COMPARED = {"=", "<>", "<", "<=", ">", ">="}
_TESTS = {
    "attribute_exists": 1,
    "attribute_not_exists": 1,
    "attribute_type": 2,
    "begins_with": 2,
    "contains": 2,
}
"""Functions that are conditions, and how many operands they take."""
_ORDERABLE = {"S", "N", "B"}
_WORDS = {"AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"}


@cache
def reserved() -> frozenset[str]:
    """The words that may not stand for an attribute, in upper case."""
    return frozenset(ReservedKeywords.get_reserved_keywords())


# What expressions consist of


class Path(NamedTuple):
    """Where in an item; names may be placeholders."""

    steps: tuple[str | int, ...]


class Given(NamedTuple):
    """A value by its placeholder."""

    name: str


class Size(NamedTuple):
    """`size(path)`."""

    path: Path


class Default(NamedTuple):
    """`if_not_exists(path, operand)`."""

    path: Path
    otherwise: Any


class Joined(NamedTuple):
    """`list_append(operand, operand)`."""

    left: Any
    right: Any


class Arithmetic(NamedTuple):
    """A sum, or with -1 a difference."""

    left: Any
    right: Any
    sign: int


class Compare(NamedTuple):
    """A comparison."""

    operator: str
    left: Any
    right: Any


class Between(NamedTuple):
    """A range, both ends included."""

    operand: Any
    low: Any
    high: Any


class OneOf(NamedTuple):
    """`IN`."""

    operand: Any
    options: tuple[Any, ...]


class Test(NamedTuple):
    """A function that is a condition."""

    function: str
    operands: tuple[Any, ...]


class Both(NamedTuple):
    """`AND`."""

    left: Any
    right: Any


class Either(NamedTuple):
    """`OR`."""

    left: Any
    right: Any


class Not(NamedTuple):
    """`NOT`."""

    inner: Any


class Action(NamedTuple):
    """A part of an update: `operand` is None for REMOVE."""

    clause: str
    path: Path
    operand: Any


@dataclass(frozen=True)
class Expression:
    """An expression as it was read, and the placeholders in it."""

    tree: Any
    names: frozenset[str]
    values: frozenset[str]
    words: frozenset[str]
    """Names that stand for themselves."""


class _Reader:
    def __init__(self, what: str, text: str) -> None:
        self._what = what
        self._tokens = [(m[1] or m[2] or m[3], bool(m[3])) for m in _TOKEN.finditer(text.rstrip())]
        self._at = 0
        self.names: set[str] = set()
        self.values: set[str] = set()
        self.words: set[str] = set()
        if not text.strip():
            raise invalid(f"Invalid {what}: The expression can not be empty;")
        if len(text.encode()) > LONGEST:
            raise invalid(f"Invalid {what}: Expression size has exceeded the maximum allowed size;")

    def peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._tokens[at][0] if at < len(self._tokens) else ""

    def word(self) -> str:
        return self.peek().upper() if self.peek().upper() in _WORDS else ""

    def take(self, wanted: str = "") -> str:
        token = self.peek()
        if not token or self._tokens[self._at][1] or (wanted and token.upper() != wanted):
            near = " ".join(token for token, _ in self._tokens[max(self._at - 1, 0) : self._at + 2])
            raise invalid(f'Invalid {self._what}: Syntax error; token: "{token or "<EOF>"}", near: "{near}"')
        self._at += 1
        return token

    def end(self) -> None:
        if self.peek():
            self.take("nothing more")

    # Operands

    def path(self) -> Path:
        steps: list[str | int] = [self._name()]
        while self.peek() in (".", "["):
            if self.take() == ".":
                steps.append(self._name())
            else:
                steps.append(int(self.take()))
                self.take("]")
        return Path(tuple(steps))

    def _name(self) -> str:
        token = self.take()
        if token.startswith("#"):
            self.names.add(token)
        elif not _WORD.fullmatch(token):
            self._at -= 1
            self.take("a name")
        elif token.upper() in reserved():
            raise invalid(
                f"Invalid {self._what}: Attribute name is a reserved keyword; reserved keyword: {token}",
            )
        else:
            self.words.add(token)
        return token

    def given(self) -> Given:
        token = self.take()
        if not token.startswith(":"):
            self._at -= 1
            self.take("a value")
        self.values.add(token)
        return Given(token)

    def operand(self) -> Any:
        if self.peek().startswith(":"):
            return self.given()
        if self.peek(1) == "(":
            return self._function({"size": lambda: Size(self.path())})
        return self.path()

    def _function(self, known: Mapping[str, Callable[[], Any]]) -> Any:
        name = self.take()
        if name not in known:
            raise invalid(f"Invalid {self._what}: Invalid function name; function: {name}")
        self.take("(")
        found = known[name]()
        self.take(")")
        return found

    # Conditions

    def condition(self) -> Any:
        left = self._conjunction()
        while self.word() == "OR":
            self.take()
            left = Either(left, self._conjunction())
        return left

    def _conjunction(self) -> Any:
        left = self._negation()
        while self.word() == "AND":
            self.take()
            left = Both(left, self._negation())
        return left

    def _negation(self) -> Any:
        if self.word() == "NOT":
            self.take()
            return Not(self._negation())
        if self.peek() == "(":
            return self._parenthesis()
        return self._test()

    def _parenthesis(self) -> Any:
        self.take("(")
        begin = self._at
        found = self.condition()
        if self.peek() == ")" and self._tokens[begin][0] == "(" and self._closes(begin) == self._at - 1:
            raise invalid(f"Invalid {self._what}: The expression has redundant parentheses;")
        self.take(")")
        return found

    def _closes(self, begin: int) -> int:
        depth = 0
        for at in range(begin, len(self._tokens)):
            depth += {"(": 1, ")": -1}.get(self._tokens[at][0], 0)
            if depth == 0:
                return at
        return -1

    def _test(self) -> Any:
        if self.peek(1) == "(" and self.peek() in _TESTS:
            return self._asked()
        left = self.operand()
        if self.word() == "BETWEEN":
            self.take()
            low = self.operand()
            self.take("AND")
            return Between(left, low, self.operand())
        if self.word() == "IN":
            self.take()
            self.take("(")
            options = [self.operand()]
            while self.peek() == ",":
                self.take()
                options.append(self.operand())
            self.take(")")
            return OneOf(left, tuple(options))
        if self.peek() not in _COMPARED:
            self.take("a comparison")
        operator = self.take()
        right = self.operand()
        if left == right:
            raise invalid(
                f"Invalid {self._what}: The first operand must be distinct from the remaining operands for this "
                f"operator or function; operator: {operator}"
            )
        return Compare(operator, left, right)

    def _asked(self) -> Test:
        function = self.take()
        self.take("(")
        operands: list[Any] = [self.path() if function.startswith("attribute") else self.operand()]
        for _ in range(_TESTS[function] - 1):
            self.take(",")
            operands.append(self.operand())
        self.take(")")
        return Test(function, tuple(operands))

    # Updates

    def update(self) -> tuple[Action, ...]:
        actions: list[Action] = []
        clauses: set[str] = set()
        while self.peek():
            clause = self.word()
            if clause not in ("SET", "REMOVE", "ADD", "DELETE"):
                self.take("a clause")
            self.take()
            if clause in clauses:
                raise invalid(
                    f'Invalid {self._what}: The "{clause}" section can only be used once in an update expression;'
                )
            clauses.add(clause)
            actions.append(self._action(clause))
            while self.peek() == ",":
                self.take()
                actions.append(self._action(clause))
        return tuple(actions)

    def _action(self, clause: str) -> Action:
        path = self.path()
        if clause == "REMOVE":
            return Action(clause, path, None)
        if clause == "SET":
            self.take("=")
            return Action(clause, path, self._sum())
        return Action(clause, path, self.given())

    def _sum(self) -> Any:
        left = self._term()
        if self.peek() in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            return Arithmetic(left, self._term(), sign)
        return left

    def _term(self) -> Any:
        if self.peek().startswith(":") or self.peek(1) != "(":
            return self.operand()

        def default() -> Default:
            path = self.path()
            self.take(",")
            return Default(path, self._term())

        def joined() -> Joined:
            left = self._term()
            self.take(",")
            return Joined(left, self._term())

        return self._function({"if_not_exists": default, "list_append": joined})

    def paths(self) -> tuple[Path, ...]:
        found = [self.path()]
        while self.peek() == ",":
            self.take()
            found.append(self.path())
        return tuple(found)


@lru_cache(4096)
def _read(what: str, text: str) -> Expression:
    reader = _Reader(what, text)
    match what:
        case "UpdateExpression":
            tree: Any = reader.update()
        case "ProjectionExpression":
            tree = reader.paths()
        case _:
            tree = reader.condition()
    reader.end()
    return Expression(tree, frozenset(reader.names), frozenset(reader.values), frozenset(reader.words))


KINDS = (
    "UpdateExpression",
    "ConditionExpression",
    "KeyConditionExpression",
    "FilterExpression",
    "ProjectionExpression",
)


class Expressions:
    """The expressions of one request, with its names and values."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._trees = {what: _read(what, asked[what]) for what in KINDS if what in asked}
        self._names: Mapping[str, str] = asked.get("ExpressionAttributeNames", {})
        self._values: Mapping[str, Value] = {
            name: checked(value) for name, value in asked.get("ExpressionAttributeValues", {}).items()
        }
        self._complete(asked)
        update = self.tree("UpdateExpression")
        if update is not None:
            self._apart("UpdateExpression", [self.resolved(action.path) for action in update])
        projection = self.tree("ProjectionExpression")
        if projection is not None:
            self._apart("ProjectionExpression", [self.resolved(path) for path in projection])

    def tree(self, what: str) -> Any:
        """The expression of this kind; None if the request has none."""
        found = self._trees.get(what)
        return None if found is None else found.tree

    def _complete(self, asked: Mapping[str, Any]) -> None:
        """Placeholders and what they stand for are each there for the other."""
        for field, have, what in (
            ("ExpressionAttributeNames", self._names, "names"),
            ("ExpressionAttributeValues", self._values, "values"),
        ):
            if field in asked and not have:
                raise invalid(f"{field} must not be empty")
            if have and not self._trees:
                raise invalid(f"{field} can only be specified when using expressions")
            used = {name for tree in self._trees.values() for name in getattr(tree, what)}
            for kind_of, tree in self._trees.items():
                for name in sorted(getattr(tree, what)):
                    if name not in have:
                        raise invalid(
                            f"Invalid {kind_of}: An expression attribute {what[:-1]} used in "
                            f"{'the document path' if what == 'names' else 'expression'} is not defined; "
                            f"attribute {what[:-1]}: {name}"
                        )
            if unused := sorted(have.keys() - used):
                raise invalid(f"Value provided in {field} unused in expressions: keys: {{{', '.join(unused)}}}")
        for name in (*self._names, *self._values):
            if not re.fullmatch(r"[#:][A-Za-z0-9_]+", name):
                raise invalid(f'ExpressionAttribute contains invalid key: Syntax error; key: "{name}"')

    def _apart(self, what: str, paths: Sequence[tuple[str | int, ...]]) -> None:
        seen: set[tuple[str | int, ...]] = set()
        prefixes: set[tuple[str | int, ...]] = set()
        for path in paths:
            begins = {path[:length] for length in range(1, len(path))}
            if path in seen or path in prefixes or begins & seen:
                raise invalid(
                    f"Invalid {what}: Two document paths overlap with each other; must remove or rewrite one of these "
                    f"paths; path one: {list(path)}"
                )
            seen.add(path)
            prefixes |= begins

    def resolved(self, path: Path) -> tuple[str | int, ...]:
        """The path with names in place of placeholders."""
        return tuple(
            self._names[step] if isinstance(step, str) and step.startswith("#") else step for step in path.steps
        )

    def touched(self, what: str) -> set[str]:
        """The attributes that an expression names."""
        found = self._trees.get(what)
        if found is None:
            return set()
        return {*found.words, *(self._names[name] for name in found.names)}

    # Asking an item

    def value(self, operand: Any, item: Item) -> Value | None:
        """What an operand comes to; None if it is not there."""
        match operand:
            case Given(name):
                return self._values[name]
            case Path():
                return _reached(item, self.resolved(operand))
            case Size(path):
                found = _reached(item, self.resolved(path))
                length = None if found is None else size(found)
                return None if length is None else {"N": str(length)}
        raise TypeError(operand)

    def holds(self, tree: Any, item: Item) -> bool:  # noqa: PLR0911 - one for each kind of condition
        """Whether a condition is true of an item."""
        match tree:
            case Both(left, right):
                return self.holds(left, item) and self.holds(right, item)
            case Either(left, right):
                return self.holds(left, item) or self.holds(right, item)
            case Not(inner):
                return not self.holds(inner, item)
            case Compare(operator, left, right):
                return self._compared(operator, left, right, item)
            case Between(operand, low, high):
                self._upward(low, high)
                return self._compared(">=", operand, low, item) and self._compared("<=", operand, high, item)
            case OneOf(operand, options):
                return any(self._compared("=", operand, option, item) for option in options)
            case Test():
                return self._tested(tree, item)
        raise TypeError(tree)

    def _upward(self, low: Any, high: Any) -> None:
        if isinstance(low, Given) and isinstance(high, Given):
            bounds = self._values[low.name], self._values[high.name]
            if kind(bounds[0]) != kind(bounds[1]):
                raise invalid("The BETWEEN operator requires same data type for lower and upper bounds")
            if ordered(bounds[0]) > ordered(bounds[1]):
                raise invalid(
                    "The BETWEEN operator requires upper bound to be greater than or equal to lower bound",
                )

    def _compared(self, operator: str, left: Any, right: Any, item: Item) -> bool:
        if operator not in ("=", "<>"):
            for operand in (left, right):
                if isinstance(operand, Given) and kind(self._values[operand.name]) not in _ORDERABLE:
                    raise invalid(
                        "Incorrect operand type for operator or function; "
                        f"operator: {operator}, operand type: {kind(self._values[operand.name])}"
                    )
        first, second = self.value(left, item), self.value(right, item)
        if operator == "<>":
            return first is None or second is None or not same(first, second)
        if first is None or second is None:
            return False
        if operator == "=":
            return same(first, second)
        if kind(first) != kind(second) or kind(first) not in _ORDERABLE:
            return False
        one, other = ordered(first), ordered(second)
        return bool(
            {"<": one < other, "<=": one <= other, ">": one > other, ">=": one >= other}[operator],
        )

    def _tested(self, test: Test, item: Item) -> bool:
        first = self.value(test.operands[0], item)
        if test.function == "attribute_exists":
            return first is not None
        if test.function == "attribute_not_exists":
            return first is None
        second = self.value(test.operands[1], item)
        if test.function == "attribute_type":
            return first is not None and second is not None and kind(first) == second["S"]
        if test.function == "begins_with" and second is not None and kind(second) not in ("S", "B"):
            raise invalid(
                f"Incorrect operand type for operator or function; operator or function: begins_with, "
                f"operand type: {kind(second)}"
            )
        if first is None or second is None:
            return False
        if test.function == "begins_with":
            return kind(first) == kind(second) and bool(ordered(first).startswith(ordered(second)))
        return _contains(first, second)

    # Changing an item

    def updated(self, item: Item | None, key: Item) -> tuple[Item | None, set[str]]:
        """The item after the update, and the attributes that it set or removed. What the update reads is as it was
        before. None if there is no item, and the update only removes: AWS makes none for that.
        """
        actions: tuple[Action, ...] = self.tree("UpdateExpression") or ()
        before = item or {}
        done = [(action, self.resolved(action.path), self._result(action, before)) for action in actions]
        touched = {str(path[0]) for _, path, _ in done}
        for name in touched & key.keys():
            raise invalid(
                "One or more parameter values were invalid: Cannot update attribute "
                f"{name}. This attribute is part of the key"
            )
        if item is None and actions and all(action.clause in ("REMOVE", "DELETE") for action in actions):
            return None, touched
        deep = any(len(path) > 1 for _, path, _ in done)
        after = deepcopy(before) if deep else dict(before)
        after = {**key, **after}
        for _, path, value in sorted(done, key=lambda entry: _last_index(entry[1]), reverse=True):
            _place(after, path, value)
        return after, touched

    def _result(self, action: Action, item: Item) -> Value | None:
        if action.clause == "REMOVE":
            return None
        if action.clause == "SET":
            return self._assigned(action.operand, item)
        value = self._values[action.operand.name]
        if kind(value) not in (("N", "SS", "NS", "BS") if action.clause == "ADD" else ("SS", "NS", "BS")):
            raise invalid(
                "Invalid UpdateExpression: Incorrect operand type for operator or function; "
                f"operator: {action.clause}, operand type: {kind(value)}"
            )
        current = _reached(item, self.resolved(action.path))
        if current is None:
            return value if action.clause == "ADD" else None
        if kind(current) != kind(value):
            raise invalid("An operand in the update expression has an incorrect data type")
        of = kind(value)
        if of == "N":
            return total(current, value, 1)
        if action.clause == "ADD":
            return {of: [*current[of], *(member for member in value[of] if member not in current[of])]}
        left = [member for member in current[of] if member not in value[of]]
        return {of: left} if left else None

    def _assigned(self, operand: Any, item: Item) -> Value:
        match operand:
            case Arithmetic(left, right, sign):
                first, second = self._assigned(left, item), self._assigned(right, item)
                if kind(first) != "N" or kind(second) != "N":
                    raise invalid("An operand in the update expression has an incorrect data type")
                return total(first, second, sign)
            case Default(path, otherwise):
                found = _reached(item, self.resolved(path))
                return self._assigned(otherwise, item) if found is None else found
            case Joined(left, right):
                first, second = self._assigned(left, item), self._assigned(right, item)
                if kind(first) != "L" or kind(second) != "L":
                    raise invalid("An operand in the update expression has an incorrect data type")
                return {"L": [*first["L"], *second["L"]]}
        found = self.value(operand, item)
        if found is None:
            raise invalid("The provided expression refers to an attribute that does not exist in the item")
        return found

    # Asking for items

    def projected(self, item: Item) -> Item:
        """What the projection leaves of an item."""
        paths = self.tree("ProjectionExpression")
        if paths is None:
            return item
        found: Item = {}
        for path in map(self.resolved, paths):
            value = _reached(item, path)
            if value is None:
                continue
            if len(path) > 1:
                raise NotImplementedError("projections of parts of attributes")
            found[str(path[0])] = value
        return found

    def range(self, partition: str, sort: str | None) -> "tuple[Value, Range | None]":
        """The partition that the key condition names, and what it wants of it."""
        conditions = list(_conjuncts(self.tree("KeyConditionExpression")))
        owner: Value | None = None
        wanted: Range | None = None
        for condition in conditions:
            found = self._bounds(condition)
            if found.name == partition and found.operator == "=" and owner is None:
                owner = found.values[0]
            elif sort is not None and found.name == sort and found.operator != "<>" and wanted is None:
                wanted = found
            elif found.name == partition:
                raise invalid("Query key condition not supported")
            else:
                raise invalid("Query condition missed key schema element: " + (sort or partition))
        if owner is None:
            raise invalid("Query condition missed key schema element: " + partition)
        return owner, wanted

    def _bounds(self, condition: Any) -> "Range":
        match condition:
            case Compare(operator, Path() as path, Given(name)):
                found = Range(operator, str(self.resolved(path)[0]), (self._values[name],))
            case Between(Path() as path, Given(low), Given(high)):
                self._upward(condition.low, condition.high)
                found = Range("BETWEEN", str(self.resolved(path)[0]), (self._values[low], self._values[high]))
            case Test("begins_with", (Path() as path, Given(name))):
                found = Range("begins_with", str(self.resolved(path)[0]), (self._values[name],))
            case _:
                raise invalid("Invalid operator used in KeyConditionExpression")
        return found


class Range(NamedTuple):
    """What a key condition wants of one key."""

    operator: str
    name: str
    values: tuple[Value, ...]


def _conjuncts(tree: Any) -> Iterator[Any]:
    if isinstance(tree, Both):
        yield from _conjuncts(tree.left)
        yield from _conjuncts(tree.right)
    else:
        yield tree


def _reached(item: Item, path: tuple[str | int, ...]) -> Value | None:
    found = item.get(str(path[0]))
    for step in path[1:]:
        if found is None:
            return None
        if isinstance(step, int):
            held = found.get("L", ())
            found = held[step] if step < len(held) else None
        else:
            found = found.get("M", {}).get(step)
    return found


def _last_index(path: tuple[str | int, ...]) -> int:
    """Later elements of a list are removed first, since those behind them move."""
    return path[-1] if isinstance(path[-1], int) else -1


def _place(item: Item, path: tuple[str | int, ...], value: Value | None) -> None:
    parent = item if len(path) == 1 else _reached(item, path[:-1])
    last = path[-1]
    if len(path) > 1:
        wanted = "L" if isinstance(last, int) else "M"
        if parent is None or wanted not in parent:
            raise invalid("The document path provided in the update expression is invalid for update")
        parent = parent[wanted]
    holder: Any = parent
    if isinstance(last, int):
        if value is None:
            del holder[last : last + 1]
        elif last < len(holder):
            holder[last] = value
        else:
            holder.append(value)
    elif value is None:
        holder.pop(last, None)
    else:
        holder[last] = value


def _contains(first: Value, second: Value) -> bool:
    of = kind(first)
    if of == "L":
        return any(same(member, second) for member in first["L"])
    if of in ("SS", "NS", "BS"):
        return kind(second) == of[0] and any(same({of[0]: member}, second) for member in first[of])
    return of in ("S", "B") and kind(second) == of and ordered(second) in ordered(first)
