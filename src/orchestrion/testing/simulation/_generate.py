"""Random workflow documents, from the grammar: valid by construction, ending by construction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from ._programs import failing

Node = dict[str, Any]

NAMESPACE = "simulated"
KINDS: Mapping[str, float] = {
    "set": 3,
    "call": 4,
    "switch": 1,
    "for": 1.2,
    "fork": 1.6,
    "try": 2.2,
    "wait": 1,
    "emit": 0.6,
    "raise": 0.5,
    "do": 0.8,
    "run": 0.7,
    "human": 0.9,
    "listen": 0.9,
    "loop": 0.7,
}
_LEAVES = frozenset({"set", "call", "wait", "emit", "human", "listen"})
EVENTS = ("simulated.one", "simulated.two", "simulated.three")
"""Types of the events that workflows listen for."""
_ERRORS = (("runtime", 500), ("communication", 503), ("validation", 400), ("timeout", 408))
ERROR_BASE = "https://open-workflow-specification.org/spec/1.0.0/errors/"


@dataclass(frozen=True, slots=True)
class _Place:
    """What is known where a task stands."""

    depth: int
    variables: tuple[str, ...] = ()
    branch: bool = False


def generate(random: Random, *, size: int, unit_s: int = 1) -> list[Node]:
    """Documents of about `size` tasks: the one that is run, and its children."""
    return Generator(random, size, unit_s).documents()


@dataclass(slots=True)
class Generator:
    """Writes the documents of one simulation: the first is the one that is run, the others are its children."""

    random: Random
    size: int
    """About how many tasks."""
    unit_s: int
    """How long a short wait takes: the documents of a simulation live in seconds, minutes or hours."""
    kinds: Mapping[str, float] = field(default_factory=lambda: KINDS)
    _names: int = 0
    _left: int = 0
    _children: list[Node] = field(default_factory=list[Node])
    _keys: tuple[str, ...] = ("a", "b", "c", "d")

    def documents(self) -> list[Node]:
        return [self._document("main", self.size), *self._children]

    def _document(self, name: str, size: int) -> Node:
        self._left = size
        document: Node = {"document": {"dsl": "1.0.3", "namespace": NAMESPACE, "name": name, "version": "1.0.0"}}
        if self._chance(0.1):
            document["timeout"] = {"after": self._length(4)}
        if self._chance(0.15):
            document["output"] = {"as": self._reading(_Place(0))}
        document["do"] = self._list(_Place(0))
        return document

    # --- choosing ---

    def _chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _name(self, kind: str) -> str:
        self._names += 1
        return f"{kind}{self._names}"

    def _length(self, most: int = 3) -> Node:
        """A length of time around the simulation's unit."""
        if self._chance(0.2):
            return {"milliseconds": self.random.randint(1, 999)}
        return {"seconds": self.unit_s * self.random.randint(1, most)}

    def _reading(self, place: _Place) -> str:
        """An expression that gives some value."""
        choices = [".", "$context", f"$context.{self.random.choice(self._keys)}", "{seen: .}", "[., 1]"]
        for name in place.variables:
            known = f"${name}.status" if name.startswith("x") else f"${name}"
            choices += [known, f"{{from: {known}}}"]
        return expression(self.random.choice(choices))

    def _condition(self, place: _Place) -> str:
        key = self.random.choice(self._keys)
        choices = [f"$context.{key} == null", "true", "false", "now > 0", f"$context.{key} < 3"]
        choices += [f"${name} < 2" for name in place.variables if name.startswith("i")]
        return expression(self.random.choice(choices))

    def _kind(self, place: _Place) -> str:
        kinds = {kind: weight for kind, weight in self.kinds.items() if self._allows(kind, place)}
        return self.random.choices(list(kinds), list(kinds.values()))[0]

    def _allows(self, kind: str, place: _Place) -> bool:
        if kind == "loop":
            return not place.branch
        if place.depth >= 4 or self._left <= 0:
            return kind in _LEAVES
        return kind != "run" or len(self._children) < 2

    # --- lists ---

    def _list(self, place: _Place, most: int = 5) -> list[Node]:
        """Tasks in sequence, some of which jump: forward freely, backward a counted number of times."""
        place = replace(place, branch=False)
        tasks: list[Node] = []
        for _ in range(self.random.randint(1, most)):
            kind = self._kind(place)
            if kind == "loop":
                tasks += self._counted_jump(tasks)
            else:
                tasks.append(self._task(kind, place))
        self._jump_forward(tasks)
        return tasks

    def _counted_jump(self, before: list[Node]) -> list[Node]:
        """A counter, and a switch that goes back to an earlier task until it is high enough."""
        counter, switch = self._name("count"), self._name("again")
        back = self.random.choice([*(_name_of(task) for task in before if not _is_jump(task)), counter])
        key, rounds = f"n{counter}", self.random.randint(1, 2)
        self._left -= 2
        return [
            {counter: {"set": {"counting": True}, "export": {"as": _counting(key)}}},
            {
                switch: {
                    "switch": [
                        {f"more-{switch}": {"when": f"$context.{key} < {rounds + 1}", "then": back}},
                        {f"enough-{switch}": {"then": "continue"}},
                    ]
                }
            },
        ]

    def _jump_forward(self, tasks: list[Node]) -> None:
        """A few `then`: to a later task, out of the list, or to the end. A counter and its switch stay together."""
        for index, task in enumerate(tasks):
            name = _name_of(task)
            if name.startswith(("count", "again")) or not self._chance(0.08):
                continue
            later = [_name_of(other) for other in tasks[index + 1 :] if not _is_jump(other)]
            task[name]["then"] = self.random.choice([*later, "exit", "continue"] + ["end"] * self._chance(0.3))

    # --- tasks ---

    def _task(self, kind: str, place: _Place) -> Node:
        self._left -= 1
        name = self._name(kind)
        make: Mapping[str, Callable[[str, _Place], Node]] = {
            "set": self._set,
            "call": self._call,
            "switch": self._switch,
            "for": self._for,
            "fork": self._fork,
            "try": self._try,
            "wait": self._wait,
            "emit": self._emit,
            "raise": self._raise,
            "do": self._do,
            "run": self._run,
            "human": self._human,
            "listen": self._listen,
        }
        task = make[kind](name, place)
        return {name: {**self._around(kind, place), **task}}

    def _around(self, kind: str, place: _Place) -> Node:
        """What any task may have."""
        found: Node = {}
        if self._chance(0.12):
            found["if"] = self._condition(place)
        if self._chance(0.04):
            found["input"] = {"from": self._reading(place)}
        if self._chance(0.08):
            found["output"] = {"as": self._reading(place)}
        if self._chance(0.35):
            found["export"] = {"as": expression(f"$context + {{{self.random.choice(self._keys)}: .}}")}
        if kind not in {"set", "switch", "raise", "emit"} and self._chance(0.15):
            found["timeout"] = {"after": self._length()}
        return found

    def _set(self, name: str, place: _Place) -> Node:
        if self._chance(0.03):
            return {"set": {"never": expression(failing())}}
        return {"set": {"by": name, "value": self._reading(place)}}

    def _call(self, name: str, place: _Place) -> Node:
        does = self.random.choices(("ok", "flaky", "fail", "break"), (8, 3, 1, 0.4))[0]
        arguments: Node = {"does": does, "value": self._reading(place)}
        if self._chance(0.1):
            arguments["gate"] = self.random.choice(("ask", "ask", "deny"))
        function = self.random.choice(("read", "put", "post", "post", "compute"))
        task: Node = {"call": f"{function}:1.0.0@default", "with": arguments}
        if function == "post" and self._chance(0.15):
            task["metadata"] = {"idempotent": True}
        return task

    def _switch(self, name: str, place: _Place) -> Node:
        cases: list[Node] = [
            {f"{name}-{number}": {"when": self._condition(place), "then": self.random.choice(("continue", "exit"))}}
            for number in range(self.random.randint(1, 2))
        ]
        if self._chance(0.7):
            cases.append({f"{name}-else": {"then": "continue"}})
        return {"switch": cases}

    def _for(self, name: str, place: _Place) -> Node:
        number = name.removeprefix("for")
        each, at = f"e{number}", f"i{number}"
        inside = replace(place, depth=place.depth + 1, variables=(*place.variables, each, at))
        items = ", ".join(str(self.random.randint(0, 9)) for _ in range(self.random.randint(0, 3)))
        task: Node = {"for": {"each": each, "at": at, "in": expression(f"[{items}]")}}
        if self._chance(0.25):
            task["while"] = expression(f"${at} < {self.random.randint(0, 3)}")
        return {**task, "do": self._list(inside, 3)}

    def _fork(self, name: str, place: _Place) -> Node:
        inside = replace(place, depth=place.depth + 1, branch=True)
        count = self.random.randint(2, 3)
        branches = [self._task(self._kind(inside), inside) for _ in range(count)]
        for branch in branches:
            if self._chance(0.04):
                branch[_name_of(branch)]["then"] = "end"
        return {"fork": {"branches": branches, "compete": self._chance(0.45)}}

    def _try(self, name: str, place: _Place) -> Node:
        inside = replace(place, depth=place.depth + 1)
        error = name.replace("try", "x")
        catch: Node = {"as": error}
        if self._chance(0.4):
            kind, status = self.random.choice(_ERRORS)
            catch["errors"] = {"with": self.random.choice(({"status": status}, {"type": ERROR_BASE + kind}))}
        if self._chance(0.2):
            catch[self.random.choice(("when", "exceptWhen"))] = expression(f"${error}.status == 503")
        if self._chance(0.6):
            catch["retry"] = self._retry(error)
        if self._chance(0.7) or "retry" not in catch:
            known = replace(inside, variables=(*place.variables, error))
            catch["do"] = self._list(known, 2)
        return {"try": self._list(inside, 3), "catch": catch}

    def _retry(self, error: str) -> Node:
        retry: Node = {"limit": {"attempt": {"count": self.random.randint(0, 3)}}}
        if self._chance(0.7):
            retry["delay"] = self._length(2)
            retry["backoff"] = {self.random.choice(("constant", "linear", "exponential")): {}}
        if self._chance(0.3):
            retry["jitter"] = {"from": {"seconds": 0}, "to": {"seconds": self.unit_s}}
        if self._chance(0.2):
            retry["limit"]["attempt"]["duration"] = self._length()
        if self._chance(0.2):
            retry["limit"]["duration"] = self._length(5)
        if self._chance(0.15):
            retry["when"] = expression(f"${error}.status == 503")
        return retry

    def _wait(self, name: str, place: _Place) -> Node:
        if self._chance(0.2):
            return {"wait": expression(f"{{seconds: {self.unit_s * self.random.randint(1, 3)}}}")}
        return {"wait": self._length(5)}

    def _emit(self, name: str, place: _Place) -> Node:
        heard = self._chance(0.3)
        kind: Node = {"kind": self.random.randint(0, 1)} if heard else {}
        return {
            "emit": {
                "event": {
                    "with": {
                        "type": self.random.choice(EVENTS) if heard else f"simulated.{name}",
                        "data": {**kind, "value": self._reading(place)},
                    }
                }
            }
        }

    def _listen(self, name: str, place: _Place) -> Node:
        """One event, any of some, all of some, or any until another comes; each dealt with as it comes, or not."""
        wanted = [self._wanted(type_) for type_ in self.random.sample(EVENTS, 2)]
        to = self.random.choice(
            ({"one": wanted[0]}, {"any": wanted}, {"all": wanted}, {"any": wanted[:1], "until": {"one": wanted[1]}})
        )
        task: Node = {"listen": {"to": to, "read": self.random.choice(("data", "envelope"))}}
        if place.depth < 4 and self._chance(0.3):
            number = name.removeprefix("listen")
            inside = replace(place, depth=place.depth + 1, variables=(*place.variables, f"v{number}", f"i{number}"))
            task["foreach"] = {"item": f"v{number}", "at": f"i{number}", "do": self._list(inside, 2)}
        return task

    def _wanted(self, type_: str) -> Node:
        return {"with": {"type": type_, **({"data": {"kind": self.random.randint(0, 1)}} if self._chance(0.3) else {})}}

    def _raise(self, name: str, place: _Place) -> Node:
        kind, status = self.random.choice(_ERRORS)
        return {"raise": {"error": {"type": ERROR_BASE + kind, "status": status, "title": name}}}

    def _do(self, name: str, place: _Place) -> Node:
        return {"do": self._list(replace(place, depth=place.depth + 1), 3)}

    def _run(self, name: str, place: _Place) -> Node:
        child = f"child{len(self._children) + 1}"
        left, at = self._left, len(self._children)
        self._children.append({})
        self._children[at] = self._document(child, max(1, self.size // 3))
        self._left = left - 2
        flow: Node = {"namespace": NAMESPACE, "name": child, "version": "1.0.0"}
        if self._chance(0.5):
            flow["input"] = {"given": self._reading(place)}
        return {"run": {"workflow": flow, **({"await": False} if self._chance(0.2) else {})}}

    def _human(self, name: str, place: _Place) -> Node:
        form = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
        return {"call": "human:1.0.0@default", "with": {"role": "lead", "title": f"{name}?", "form": form}}


def expression(program: str) -> str:
    return "${ " + program + " }"


def _counting(key: str) -> str:
    return expression(f"$context + {{{key}: (($context.{key} // 0) + 1)}}")


def _name_of(task: Node) -> str:
    return next(iter(task))


def _is_jump(task: Node) -> bool:
    """Nothing may lead to the switch of a counted jump but its counter."""
    return _name_of(task).startswith("again")
