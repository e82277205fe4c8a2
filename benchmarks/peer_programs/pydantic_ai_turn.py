"""pydantic-ai alone: the loop that our agents are built on, which keeps no record."""

import asyncio

from _noop_model import Noop
from _turns import DESCRIPTION, INSTRUCTIONS, QUESTION, TOOL, Noted, answer_turns
from pydantic_ai import Agent, Tool


async def _note(number: int) -> str:
    return Noted.note(number)


async def main() -> None:
    agent = Agent(Noop(), instructions=INSTRUCTIONS, tools=[Tool(_note, name=TOOL, description=DESCRIPTION)])

    async def run_turn(_: str) -> str:
        return (await agent.run(QUESTION)).output

    await answer_turns(run_turn, {"durability": "none"})


asyncio.run(main())
