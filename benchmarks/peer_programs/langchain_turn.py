"""LangChain's `create_agent`, without a record or with LangGraph's SQLite saver, which writes a checkpoint after each step."""

import asyncio
from pathlib import Path
from typing import Any

import aiosqlite
from _turns import CALLS, DESCRIPTION, DONE, INSTRUCTIONS, QUESTION, TOOL, Noted, answer_turns
from _workload import place
from langchain.agents import create_agent
from langchain.tools import tool
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver


class Noop(BaseChatModel):
    @property
    def _llm_type(self) -> str:
        return "noop"

    def bind_tools(self, tools: Any, **_: Any) -> "Noop":
        del tools
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        answers = sum(isinstance(message, AIMessage) for message in messages)
        calls = [{"name": TOOL, "args": {"number": answers}, "id": f"call-{answers}"}]
        said = AIMessage(DONE) if answers == CALLS else AIMessage("", tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=said)])

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return self._generate(messages)


@tool(TOOL, description=DESCRIPTION)
async def _note(number: int) -> str:
    return Noted.note(number)


async def _saver(folder: Path) -> AsyncSqliteSaver:
    connection = await aiosqlite.connect(folder / "langgraph.db")
    await connection.execute("pragma journal_mode=wal")
    await connection.execute("pragma synchronous=full")
    saver = AsyncSqliteSaver(connection)
    await saver.setup()
    return saver


async def main() -> None:
    where = place()
    saver = await _saver(Path(where["folder"])) if where["durable"] else None
    agent = create_agent(Noop(), [_note], system_prompt=INSTRUCTIONS, checkpointer=saver)
    how = {"durability": "sync"} if saver else {}

    async def run_turn(name: str) -> str:
        config = {"configurable": {"thread_id": name}}
        ended = await agent.ainvoke({"messages": [("user", QUESTION)]}, config, **how)
        return ended["messages"][-1].content

    said = "a checkpoint after each step, WAL, synchronous=FULL" if saver else "none"
    await answer_turns(run_turn, {"durability": said})
    if saver:
        await saver.conn.close()


asyncio.run(main())
