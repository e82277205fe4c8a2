"""Playing rules without an agent: what they answer when tools give these results."""

from collections.abc import Mapping
from dataclasses import dataclass

from orchestrion.core import Json, UserError

from ._playbook import Playbook
from ._rules import CallTool, Conversation, Intent, Member, Say, ToolCall, next_step

_MOST_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How a conversation ended, and the tools that were called before, in order."""

    say: Say
    called: tuple[str, ...]


def play(playbook: Playbook, given: Json, results: Mapping[str, Json], *, intent: Intent | None = None) -> Played:
    """Take steps until the rules answer or ask. Tools, and members that are engaged, give `results` by name.

    Raises: UserError `no-result` for a tool whose result is not given, `endless-playbook`, `no-rule-fits`.
    """
    engaged = {step.engage for rule in playbook.rules for step in rule.steps if step.engage is not None}
    members = [Member(tool=name, name=name) for name in sorted(engaged)]
    calls: list[ToolCall] = []
    while len(calls) < _MOST_STEPS:
        step = next_step(playbook, Conversation(input=given, calls=calls, members=members, intent=intent))
        match step:
            case Say():
                return Played(say=step, called=tuple(call.tool for call in calls))
            case CallTool(rule=rule, tool=tool, arguments=arguments):
                if tool not in results:
                    raise UserError(
                        "no-result", f"The rule {rule.name!r} calls {tool!r}, and no result of it is given."
                    )
                calls.append(
                    ToolCall(tool=tool, arguments=arguments, status="done", result=results[tool], rule=rule.name)
                )
    raise UserError("endless-playbook", f"After {_MOST_STEPS} calls the rules have not answered.")
