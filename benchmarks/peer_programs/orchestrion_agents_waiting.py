"""Our engine with many agents that wait for a slow model at once, in a project as anybody has it: what they cost in memory."""

import asyncio
import gc
import sys
from pathlib import Path

import psutil
from _turns import DONE, QUESTION
from _workload import place, say

from orchestrion.app import open_app, run_process
from orchestrion.core import RunStatus

FILES = {
    "orchestrion.yaml": "egress: { allow: ['ADDRESS'] }\nlimits: { concurrency: AGENTS }\n"
    "models: { slow: { provider: 'openai:gpt-4o-mini', base_url: 'http://ADDRESS/v1', timeout_s: 300 } }\n",
    "workflows/ask.yaml": "document: { dsl: '1.0.3', namespace: bench, name: ask, version: '1.0.0' }\ndo:\n"
    f"  - ask: {{ call: 'agent:1.0.0@default', with: {{ agent: clerk, input: {{ message: {QUESTION} }} }} }}\n",
    "agents/clerk.yaml": "name: clerk\nmodel: slow\ninput: { type: object, properties: { message: { type: string } } }\n",
    "policies/all.cedar": '@id("all") permit (principal, action, resource);\n',
}


def _memory_mb() -> float:
    gc.collect()
    return psutil.Process().memory_info().rss / 1_000_000


async def main() -> None:
    """One agent runs before the others. They begin with the first line on standard input; each further one is answered with the memory."""
    where = place()
    folder = Path(where["folder"]) / "project"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("ADDRESS", where["address"]).replace("AGENTS", str(where["agents"])))
    async with open_app(folder) as app:

        async def turn() -> None:
            started = await app.start(app.checked.shelf.named("bench/ask"), {})
            ended = await app.engine.settle(started.id)
            if ended.status is not RunStatus.COMPLETED or ended.output != {"reply": DONE}:
                raise SystemExit(f"the run ended otherwise: {ended.problem or ended.output}")

        await turn()
        say({"ready": {"empty_mb": _memory_mb()}})
        await asyncio.to_thread(sys.stdin.readline)
        turns = asyncio.gather(*(turn() for _ in range(where["agents"])))
        while await asyncio.to_thread(sys.stdin.readline):
            if turns.done():
                await turns
            say({"rss_mb": _memory_mb(), "ended": turns.done()})


run_process(main)
