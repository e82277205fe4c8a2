"""OpenAI's agents SDK, without a record or with its SQLite session, which keeps what was said; a turn cannot be resumed from it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from _turns import CALLS, DESCRIPTION, DONE, INSTRUCTIONS, QUESTION, TOOL, Noted, answer_turns
from _workload import place
from agents.items import ModelResponse
from agents.models.interface import Model
from agents.usage import Usage
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from agents import Agent, Runner, SQLiteSession, function_tool, set_tracing_disabled


class Noop(Model):
    async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:  # noqa: A002 its name there
        items = [input] if isinstance(input, str) else input
        answers = sum(item.get("type") == "function_call" for item in items if isinstance(item, dict))
        if answers == CALLS:
            text = ResponseOutputText(type="output_text", text=DONE, annotations=[])
            output: Any = ResponseOutputMessage(
                id="said", type="message", role="assistant", status="completed", content=[text]
            )
        else:
            output = ResponseFunctionToolCall(
                type="function_call", call_id=f"call-{answers}", name=TOOL, arguments=f'{{"number": {answers}}}'
            )
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


@function_tool(name_override=TOOL, description_override=DESCRIPTION)
async def _note(number: int) -> str:
    return Noted.note(number)


async def main() -> None:
    where = place()
    set_tracing_disabled(True)
    agent = Agent(name="clerk", instructions=INSTRUCTIONS, model=Noop(), tools=[_note])
    file = Path(where["folder"]) / "sessions.db"

    async def run_turn(name: str) -> str:
        if not where["durable"]:
            return (await Runner.run(agent, QUESTION, max_turns=CALLS + 1)).final_output
        session = SQLiteSession(name, file)
        ended = await Runner.run(agent, QUESTION, max_turns=CALLS + 1, session=session)
        session.close()
        return ended.final_output

    await answer_turns(run_turn, {"durability": "what was said, in SQLite" if where["durable"] else "none"})


asyncio.run(main())
