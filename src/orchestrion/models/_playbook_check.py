"""What can be wrong with a playbook: what it names, and what it could never do."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import JsonValue

from orchestrion.core import Json, UserError

from ._entities import compiled
from ._playbook import Flaw, Pattern, PlanStep, Playbook, Rule, Surroundings, When, escaped
from ._template import template


def check_playbook(playbook: Playbook, around: Surroundings | None, *, at: str = "") -> list[Flaw]:
    """Everything in a playbook that cannot work. Without `around`, what depends on the agent is not looked at."""
    return list(_Check(playbook, around, at).flaws())


@dataclass(frozen=True)
class _Check:
    playbook: Playbook
    around: Surroundings | None
    at: str

    def flaws(self) -> Iterator[Flaw]:
        if self.playbook.router is not None and self.around is not None and self.around.intents is not None:
            try:
                self.around.intents(self.playbook.router)
            except UserError as error:
                yield Flaw(f"{self.at}/router", error.message, error.hint)
        for name, entity in self.playbook.entities.items():
            if isinstance(entity, Pattern):
                yield from self._regex(entity.pattern, f"{self.at}/entities/{escaped(name)}/pattern")
        for name, fact in self.playbook.facts.items():
            here = f"{self.at}/facts/{escaped(name)}"
            yield from self._path(fact.from_, f"{here}/from")
            yield from self._templates(dict(fact.where), f"{here}/where")
        for index, rule in enumerate(self.playbook.rules):
            yield from self._rule(rule, f"{self.at}/rules/{index}")
        yield from self._order()

    def _order(self) -> Iterator[Flaw]:
        seen: set[str] = set()
        *before, last = self.playbook.rules
        for index, rule in enumerate(self.playbook.rules):
            if rule.name in seen:
                yield Flaw(f"{self.at}/rules/{index}/name", f"There is a rule {rule.name!r} already.")
            seen.add(rule.name)
        for index, rule in enumerate(before):
            if rule.when is None and rule.answer is not None:
                yield Flaw(
                    f"{self.at}/rules/{index}",
                    f"Rule {rule.name!r} always answers, so no rule after it is ever reached.",
                    "Give it a `when`, or put it last.",
                )
        if last.when is not None or last.answer is None:
            yield Flaw(
                f"{self.at}/rules/{len(before)}",
                "The last rule does not always answer, so some messages would get no answer.",
                "End with a rule that has an `answer` and no `when`.",
            )

    def _rule(self, rule: Rule, here: str) -> Iterator[Flaw]:
        said = [rule.call, rule.engage, rule.plan or None, rule.answer, rule.ask]
        if sum(each is not None for each in said) != 1:
            yield Flaw(here, f"Rule {rule.name!r} needs one of `call`, `engage`, `plan`, `answer`, `ask`.")
        if rule.arguments and (rule.ends or rule.plan):
            yield Flaw(f"{here}/arguments", "`arguments` belong to a `call` or to `engage`.")
        if rule.when is not None:
            yield from self._when(rule.when, f"{here}/when")
        yield from self._step(rule, here)
        for index, step in enumerate(rule.plan):
            if (step.call is None) == (step.engage is None):
                yield Flaw(f"{here}/plan/{index}", "A step of a plan needs either `call` or `engage`.")
            yield from self._step(step, f"{here}/plan/{index}")
        if rule.answer is not None:
            yield from self._templates(rule.answer, f"{here}/answer")
            yield from self._answer(rule.answer, f"{here}/answer")
        if rule.ask is not None:
            yield from self._templates(rule.ask, f"{here}/ask")
            if self.around is not None and not self.around.asks:
                hint = "Say `asks: true` in the agent's file; then its answers may be questions."
                yield Flaw(f"{here}/ask", "The agent does not ask back.", hint)
        yield from self._claims(rule, here)

    def _step(self, step: PlanStep, here: str) -> Iterator[Flaw]:
        if step.call is not None:
            yield from self._tool(step.call, f"{here}/call")
            yield from self._arguments(step, here)
        if step.engage is not None:
            yield from self._member(step.engage, f"{here}/engage")
        yield from self._templates(dict(step.arguments), f"{here}/arguments")

    def _claims(self, rule: Rule, here: str) -> Iterator[Flaw]:
        if rule.claims and rule.answer is None:
            yield Flaw(f"{here}/claims", "`claims` belong to an `answer`.")
        known = self.around.claims if self.around is not None else rule.claims
        for kind in rule.claims:
            if kind not in known:
                listed = ", ".join(known) or "none"
                yield Flaw(f"{here}/claims", f"The agent's file knows no claim {kind!r}.", f"Known: {listed}.")

    def _intents(self, when: When, here: str) -> Iterator[Flaw]:
        router = self.playbook.router
        if when.intent and router is None:
            yield Flaw(f"{here}/intent", "No router tells the intent.", "Name one: `router: NAME` above `rules`.")
        if not when.intent or router is None or self.around is None or self.around.intents is None:
            return
        try:
            known = self.around.intents(router)
        except UserError:
            return  # said at `router`
        for intent in when.intent:
            if intent not in known:
                near = get_close_matches(intent, known, n=1)
                hint = f"Did you mean {near[0]!r}?" if near else f"It has {len(known)} labels."
                yield Flaw(f"{here}/intent", f"The router {router!r} knows no {intent!r}.", hint)

    def _when(self, when: When, here: str) -> Iterator[Flaw]:
        yield from self._intents(when, here)
        if when.matches is not None:
            yield from self._regex(when.matches, f"{here}/matches")
        for path in when.has:
            yield from self._path(path, f"{here}/has")
        for path, tests in when.compare.items():
            yield from self._path(path, f"{here}/compare/{escaped(path)}")
            yield from self._templates(list(tests.values()), f"{here}/compare/{escaped(path)}")
        for field, tools in (
            ("called", when.called),
            ("done", when.done),
            ("refused", when.refused),
            ("failed", when.failed),
        ):
            for tool in tools:
                yield from self._known(tool, f"{here}/{field}")
        if when.not_ is not None:
            yield from self._when(when.not_, f"{here}/not")
        for index, group in enumerate(when.any_):
            yield from self._when(group, f"{here}/any/{index}")

    def _regex(self, pattern: str, here: str) -> Iterator[Flaw]:
        try:
            compiled(pattern)
        except re.error as error:
            yield Flaw(here, f"{pattern!r} is not a regular expression: {error}.")

    def _member(self, name: str, here: str) -> Iterator[Flaw]:
        known = self.around.members if self.around else None
        if known is not None and name not in known:
            listed = ", ".join(sorted(known)) or "none"
            yield Flaw(here, f"There is no agent or team {name!r}.", f"Known: {listed}.")

    def _known(self, tool: str, here: str) -> Iterator[Flaw]:
        """A tool, or a member that a rule engages."""
        if tool not in self._engaged():
            yield from self._tool(tool, here)

    def _engaged(self) -> list[str]:
        steps = (step for rule in self.playbook.rules for step in rule.steps)
        return [step.engage for step in steps if step.engage is not None]

    def _tool(self, tool: str, here: str) -> Iterator[Flaw]:
        if self.around is not None and tool not in self.around.tools:
            known = ", ".join(self.around.tools) or "none"
            yield Flaw(here, f"The agent has no tool {tool!r}.", f"Its tools: {known}.")

    def _arguments(self, step: PlanStep, here: str) -> Iterator[Flaw]:
        known = self.around.tools.get(step.call or "") if self.around else None
        for name in step.arguments:
            if known is not None and name not in known:
                yield Flaw(
                    f"{here}/arguments/{escaped(name)}",
                    f"The tool {step.call!r} takes no argument {name!r}.",
                    f"It takes: {', '.join(known) or 'none'}. Arguments under `bind` are filled in by themselves.",
                )

    def _answer(self, answer: str | Mapping[str, JsonValue], here: str) -> Iterator[Flaw]:
        schema = self.around.output_schema if self.around else None
        replies: Mapping[str, Json] = {"reply": {}}
        properties = (schema.get("properties") if schema else replies) if self.around else None
        if not isinstance(properties, Mapping):
            return
        if isinstance(answer, str):
            if schema is not None and set(properties) != {"reply"}:
                yield Flaw(
                    here, "The agent's output has fields, so the answer must give them.", f"{', '.join(properties)}"
                )
            return
        required = schema.get("required") if schema else ["reply"]
        for name in required if isinstance(required, Sequence) else ():
            if name not in answer:
                yield Flaw(here, f"The answer lacks the field {name!r}, which the agent's output requires.")
        for name in answer:
            if name not in properties:
                yield Flaw(f"{here}/{escaped(name)}", f"The agent's output has no field {name!r}.")

    def _templates(self, value: Json, here: str) -> Iterator[Flaw]:
        match value:
            case str():
                try:
                    slots = template(value).slots
                except UserError as error:
                    yield Flaw(here, error.message, error.hint)
                    return
                for slot in slots:
                    yield from self._path(slot.path, here)
            case Mapping():
                for name, member in value.items():
                    yield from self._templates(member, f"{here}/{escaped(name)}")
            case Sequence():
                for index, member in enumerate(value):
                    yield from self._templates(member, f"{here}/{index}")
            case _:
                pass

    def _path(self, path: str, here: str) -> Iterator[Flaw]:
        root, _, rest = path.partition(".")
        first = rest.partition(".")[0]
        known = self._roots().get(root)
        if root not in self._roots():
            yield Flaw(
                here, f"The path {path!r} begins with {root!r}.", f"Paths begin with {', '.join(self._roots())}."
            )
        elif not first:
            yield Flaw(here, f"The path {path!r} names nothing.", f"Write {root}.NAME.")
        elif known is not None and first not in known:
            yield Flaw(here, f"There is no {first!r} in `{root}`.", f"There: {', '.join(known) or 'nothing'}.")

    def _roots(self) -> Mapping[str, Sequence[str] | None]:
        tools = [*self.around.tools, *self._engaged()] if self.around else None
        return {
            "input": self.around.input_fields if self.around else None,
            "entities": list(self.playbook.entities),
            "facts": list(self.playbook.facts),
            "intent": ["label", "confidence"] if self.playbook.router else [],
            "tools": tools,
            "refusals": tools,
            "failures": tools,
        }
