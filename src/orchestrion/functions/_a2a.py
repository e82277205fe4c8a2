"""`a2a`: another system's agent, given a message and waited for. `a2a-request`: one request to it."""

from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import urlsplit

from orchestrion.core import (
    ERROR_TYPES,
    Datum,
    Declaration,
    Effects,
    Faulted,
    Invocation,
    Json,
    LeafContext,
    Nature,
    Outcome,
    Problem,
    merge_labels,
    move_labels,
)
from orchestrion.egress import Egress

from ._credentials import credentials_of
from ._fetch import fetch, not_described
from ._http import host_of
from ._schema import arguments_of
from ._tokens import Tokens

CARD = "/.well-known/agent-card.json"
MESSAGE_ONCE = "urn:orchestrion:a2a:message-once"
"""An extension in an agent's card that says: a message with an id it has seen before is not acted on again."""
_READS = ("card", "tasks/get", "tasks/list", "tasks/resubscribe", "agent/getAuthenticatedExtendedCard")
_WAITED = ("message/send", "message/stream", "tasks/resubscribe")
_METHODS = (*_WAITED, "tasks/get", "tasks/list", "tasks/cancel", "agent/getAuthenticatedExtendedCard")
_FIRST_WAIT_S = 0.25
_LONG_WAIT_S = 60.0
_LONGEST_WAIT_S = 600.0
_SAID = 500
_ENDPOINT: Mapping[str, Json] = {"type": ["string", "object"]}

_REQUEST = Declaration(
    name="a2a-request",
    version="1.0.0",
    title="Send one request to an A2A agent",
    description="One step of `a2a`: reads an agent's card, or sends one request and gives its answer without waiting.",
    input_schema={
        "type": "object",
        "required": ["method"],
        "additionalProperties": False,
        "properties": {
            "method": {"enum": ["card", *_METHODS], "description": "`card`, or a method of the protocol."},
            "endpoint": {**_ENDPOINT, "description": "Where the card is."},
            "interfaces": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "object"},
                "description": "Where and how the agent is reached, as its card says.",
            },
            "authentication": {"type": "object", "description": "How to authenticate there."},
            "parameters": {"type": "object", "description": "The method's parameters."},
        },
    },
    output_schema={"type": "object", "description": "The card's essentials, a task or a message."},
    effect="write",
    idempotent=False,
    output_labels=frozenset({"untrusted"}),
)

_A2A = Declaration(
    name="a2a",
    version="1.0.0",
    title="Give work to another system's agent",
    description=(
        "Reads the agent's card, sends the message, and waits until the task has ended, for days if need be: between two "
        "looks the run sleeps. `message/stream` follows the agent's events first, and looks from where the stream ends or "
        "breaks; its answer is recorded once, put together. A task that failed, was rejected or cancelled is an error; so is one that asks for input, with "
        "its ids and what it asks, so that the workflow can catch it and answer. The message's id stays the same when it is "
        "sent again; it is sent again on its own only if the agent's card says that such a message counts once."
    ),
    input_schema={
        "type": "object",
        "required": ["method"],
        "additionalProperties": False,
        "anyOf": [{"required": ["agentCard"]}, {"required": ["server"]}],
        "properties": {
            "agentCard": {
                "type": "object",
                "required": ["endpoint"],
                "additionalProperties": False,
                "description": "Where the agent's card is; its well-known path is added to an address without `.json`.",
                "properties": {"name": {"type": "string"}, "endpoint": _ENDPOINT},
            },
            "server": {
                **_ENDPOINT,
                "description": "Where the agent is, for one without a card: JSON-RPC of A2A 1.0. Beside a card it is ignored.",
            },
            "method": {"enum": list(_METHODS), "description": "What to ask for."},
            "parameters": {"type": "object", "description": "The method's parameters, such as `message` or `id`."},
        },
    },
    output_schema={
        "type": "object",
        "description": "The task or message in the JSON form of A2A 1.0, with `kind: task` or `kind: message`.",
    },
    effect="write",
    idempotent=False,
    output_labels=frozenset({"untrusted"}),
)


class A2aRequest:
    """The leaf. A message's id is the call's idempotency key, unless the message has one."""

    def __init__(self, egress: Egress, tokens: Tokens) -> None:
        self._egress = egress
        self._tokens = tokens

    @property
    def declaration(self) -> Declaration:
        return _REQUEST

    def nature(self, arguments: Mapping[str, Json]) -> Nature:
        method = str(arguments.get("method"))
        reads = method in _READS
        return Nature(
            effect="read" if reads else "write",
            idempotent=reads or method == "tasks/cancel",
            resource=("Host", host_of(_target(arguments))),
        )

    async def perform(self, invocation: Invocation, context: LeafContext) -> Outcome:
        """Raises: UserError `bad-a2a-parameters`; PolicyDenied `egress-refused`; TransientError `a2a-unavailable`,
        `timed-out`, `document-unavailable`; Faulted `a2a-refused`, `a2a-unauthorized`, `a2a-bad-card`, `a2a-bad-answer`.
        """
        from ._a2a_wire import ask_agent, read_card  # brings protobuf and more with it

        arguments = arguments_of(_REQUEST, invocation.arguments.value)
        method = str(arguments["method"])
        if method == "card":
            url, policy = _endpoint(arguments.get("endpoint"))
            text = await fetch(
                _card_address(url), policy, egress=self._egress, tokens=self._tokens, secrets=context.secrets
            )
            output: Json = read_card(text, host_of(url))
        else:
            output = await ask_agent(
                cast("Sequence[Mapping[str, Json]]", arguments.get("interfaces") or ()),
                method,
                cast("Mapping[str, Json]", arguments.get("parameters") or {}),
                message_id=context.idempotency_key,
                credentials=credentials_of(arguments.get("authentication"), context.secrets, self._tokens),
                egress=self._egress,
            )
        return Outcome(output=Datum(output).labelled(*_REQUEST.output_labels))


class A2a:
    """A composite: the card, the message, and looks at the task until it has ended, each in the record."""

    @property
    def declaration(self) -> Declaration:
        return _A2A

    async def run(self, invocation: Invocation, effects: Effects) -> Outcome:
        """Raises: Faulted `a2a-task-failed`, `a2a-input-required`, and what the requests meet."""
        arguments = arguments_of(_A2A, invocation.arguments.value)
        call = _Call(invocation, effects)
        interfaces, policy, once = await call.reach(arguments)
        method = str(arguments["method"])
        where = {"/interfaces": interfaces.every_label()} if interfaces.labels else {}
        labels = merge_labels([move_labels(invocation.arguments.part("/parameters"), "/parameters"), where])
        request: dict[str, Json] = {
            "method": method,
            "interfaces": interfaces.value,
            "parameters": arguments.get("parameters") or {},
            **({"authentication": policy} if policy else {}),
        }
        answer = await call.ask("send", Datum(request, labels), once=once)
        found = cast("Mapping[str, Json]", answer.output.value)
        if method not in _WAITED or found.get("kind") != "task":
            return answer
        look: Json = {**request, "method": "tasks/get", "parameters": {"id": found.get("id")}}
        return await call.wait(answer, Datum(look, merge_labels([where, {"/parameters": answer.output.every_label()}])))


class _Call:
    """One call of an agent, on its way."""

    def __init__(self, invocation: Invocation, effects: Effects) -> None:
        self._invocation = invocation
        self._effects = effects

    async def ask(self, step: str, arguments: Datum, *, once: bool | None = None) -> Outcome:
        own = self._invocation.idempotent
        return await self._effects.invoke(
            Invocation(
                key=f"{self._invocation.key}/{step}",
                task=self._invocation.task,
                function="a2a-request:1.0.0",
                arguments=arguments,
                idempotent=once if own is None else own,
                catches_interrupted=self._invocation.catches_interrupted,
            )
        )

    async def reach(self, arguments: Mapping[str, Json]) -> tuple[Datum, Json, bool | None]:
        """Where and how the agent is reached, with which authentication, and whether its messages count once.

        Credentials for the card go to the agent only if it is at the same place. Beside a card, `server` is ignored.
        """
        card = arguments.get("agentCard")
        if not isinstance(card, Mapping):
            server, policy = _endpoint(arguments.get("server"))
            spoken: Json = [{"url": server, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]
            given = Datum(spoken, self._invocation.arguments.part("/server"))
            return given, policy, None
        labels = self._invocation.arguments.part("/agentCard/endpoint")
        read = await self.ask(
            "card", Datum({"method": "card", "endpoint": card.get("endpoint")}, move_labels(labels, "/endpoint"))
        )
        found = cast("Mapping[str, Json]", read.output.value)
        if self._effects.run.dry and "interfaces" not in found:
            raise not_described("the card of another agent")
        url, policy = _endpoint(card.get("endpoint"))
        interfaces = cast("list[Mapping[str, Json]]", found["interfaces"])
        here = [each for each in interfaces if _origin(str(each.get("url"))) == _origin(url)]
        chosen = here or interfaces
        place = Datum(list[Json](chosen[:1]), read.output.labels)
        return place, policy if here else None, True if found.get("once") is True else None

    async def wait(self, answer: Outcome, look: Datum) -> Outcome:
        """The task once it has ended. Raises: Faulted for an end that is no success."""
        number = 0
        while True:
            task = cast("Mapping[str, Json]", answer.output.value)
            status = task.get("status")
            state = str(status.get("state") if isinstance(status, Mapping) else "").removeprefix("TASK_STATE_")
            match state:
                case "COMPLETED":
                    return answer
                case "SUBMITTED" | "WORKING":
                    await self._effects.sleep(
                        f"{self._invocation.key}/wait/{number}", self._invocation.task, _pause(number)
                    )
                    answer = await self.ask(f"look/{number}", look)
                    number += 1
                case _:
                    raise _ended(state or "UNSPECIFIED", task)


def _pause(number: int) -> float:
    """Seconds before the next look: short at first, a minute in the first hour, then ten."""
    longest = _LONG_WAIT_S if number < 60 else _LONGEST_WAIT_S
    return min(_FIRST_WAIT_S * 2.0 ** min(number, 20), longest)


def _ended(state: str, task: Mapping[str, Json]) -> Faulted:
    asks = state in ("INPUT_REQUIRED", "AUTH_REQUIRED")
    word = state.lower().replace("_", "-")
    problem = Problem(
        type=ERROR_TYPES["runtime"],
        status=409 if asks else 500,
        title="Input required" if asks else "Task not completed",
        code="a2a-input-required" if asks else "a2a-task-failed",
        detail=f"The agent's task is {word!r}.",
        hint=(
            "Catch it, and send the answer as a message with the same `taskId` and `contextId`."
            if asks
            else "What the agent said stands in the problem's `said`."
        ),
    )
    more = {"taskId": task.get("id"), "contextId": task.get("contextId"), "state": word, "said": _said(task)}
    return Faulted(problem.model_copy(update={name: value for name, value in more.items() if value}))


def _said(task: Mapping[str, Json]) -> str:
    status = task.get("status")
    message = status.get("message") if isinstance(status, Mapping) else None
    parts = message.get("parts") if isinstance(message, Mapping) else None
    texts = [
        str(part["text"])
        for part in (parts if isinstance(parts, list | tuple) else ())
        if isinstance(part, Mapping) and "text" in part
    ]
    return " ".join(texts)[:_SAID]


def _endpoint(value: Json) -> tuple[str, Json]:
    if isinstance(value, Mapping):
        return str(value.get("uri", "")), value.get("authentication")
    return str(value or ""), None


def _card_address(url: str) -> str:
    return url if url.endswith(".json") else url.rstrip("/") + CARD


def _target(arguments: Mapping[str, Json]) -> str:
    interfaces = arguments.get("interfaces")
    first = interfaces[0] if isinstance(interfaces, list | tuple) and interfaces else None
    return str(first.get("url", "")) if isinstance(first, Mapping) else _endpoint(arguments.get("endpoint"))[0]


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2]
