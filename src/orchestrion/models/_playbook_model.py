"""A playbook as a model of pydantic-ai: it reads the conversation and answers by rules."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from anyio import to_thread
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import ToolDefinition

from orchestrion.core import Json, UserError, dump

from ._playbook import Playbook
from ._playbook_conversation import ASK_TOOL, conversation_of
from ._router_store import Routers
from ._rules import CallTool, Conversation, Intent, Say, message_of, next_step
from ._template import lookup, shown

_OF_PANELS = ("contributions", "disagreements")


class PlaybookModel(Model[None]):
    """Answers by the rules of a playbook, and says so: the response's metadata names the rule and why."""

    def __init__(self, playbook: Playbook, routers: Routers | None = None) -> None:
        super().__init__()
        self._playbook = playbook
        self._routers = routers

    @property
    def model_name(self) -> str:
        return f"playbook:{self._playbook.name}"

    @property
    def system(self) -> str:
        return "playbook"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        _, parameters = self.prepare_request(model_settings, model_request_parameters)
        conversation = conversation_of(messages, parameters.function_tools, self._playbook)
        conversation = replace(conversation, intent=await self._intent(conversation))
        step = next_step(self._playbook, conversation)
        match step:
            case CallTool(tool=tool, arguments=arguments):
                part = ToolCallPart(tool, dict(arguments))
            case Say():
                part = _said(step, parameters, conversation)
        why: dict[str, Json] = {"answered_by": "rules", "playbook": self._playbook.name, "rule": step.rule.name}
        if step.rule.why:
            why["why"] = step.rule.why
        if step.because:
            why["because"] = list(step.because)
        if conversation.intent is not None:
            why["intent"] = {"label": conversation.intent.label, "confidence": conversation.intent.confidence}
        return ModelResponse(parts=[part], model_name=self.model_name, provider_name=self.system, metadata=why)

    async def _intent(self, conversation: Conversation) -> Intent | None:
        """What the router says of the message. Raises: UserError `unknown-router`, or about its examples."""
        name = self._playbook.router
        if name is None:
            return None
        if self._routers is None:
            raise UserError("unknown-router", f"There is no router {name!r}.", hint="No routers are known here.")
        routers, text = self._routers, message_of(self._playbook, conversation)
        routing = await to_thread.run_sync(lambda: routers.router(name).route(text))
        return Intent(label=routing.label, confidence=routing.confidence)


def _said(step: Say, parameters: ModelRequestParameters, conversation: Conversation) -> TextPart | ToolCallPart:
    fields: dict[str, Json] = {"reply": step.answer} if isinstance(step.answer, str) else dict(step.answer)
    if step.asks:
        return ToolCallPart(ASK_TOOL, {"question": fields["reply"]})
    output_tool = next((tool for tool in parameters.output_tools if tool.name != ASK_TOOL), None)
    if output_tool is None:
        return TextPart(shown(fields.get("reply")) if set(fields) == {"reply"} else dump(fields))
    claims = _claims(step, output_tool, parameters.function_tools, conversation)
    return ToolCallPart(output_tool.name, {**_panel(output_tool, conversation.input), **claims, **fields})


def _panel(output_tool: ToolDefinition, given: Json) -> dict[str, Json]:
    """What a panel's members said and where they disagree, as it was put to the one who sums it up."""
    said = lookup(given, "panel")
    required = _required(output_tool)
    if not isinstance(said, Mapping):
        return {}
    return {name: said[name] for name in _OF_PANELS if name in required and name in said}


def _claims(
    step: Say, output_tool: ToolDefinition, tools: Sequence[ToolDefinition], conversation: Conversation
) -> dict[str, Json]:
    """What the rule claims, each with the result that proves it; without one the claim will be refused."""
    if "claims" not in _required(output_tool):
        return {}
    provers = {kind: tool.name for tool in tools for kind in (tool.metadata or {}).get("claims", ())}
    done = {call.tool: call.entry for call in conversation.calls if call.status == "done"}
    return {"claims": [{"kind": kind, "entry": done.get(provers.get(kind, ""))} for kind in step.rule.claims]}


def _required(output_tool: ToolDefinition) -> Sequence[str]:
    return cast("Sequence[str]", output_tool.parameters_json_schema.get("required", ()))
