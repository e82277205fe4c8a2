"""A model on this machine, really served: a tiny llama of random weights, which says nothing sensible and is asked for nothing sensible."""

import os
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import gguf
import numpy as np
import psutil
import pytest

from orchestrion.app import App, open_app, open_rooms, try_model
from orchestrion.core import Json, Run, RunStatus, SystemClock

pytestmark = pytest.mark.anyio

WIDTH, HEADS, INNER = 64, 4, 128
PIECES = [
    b"<unk>",
    b"<s>",
    b"</s>",
    *(f"<0x{byte:02X}>".encode() for byte in range(256)),
    "\u2581".encode(),
    b"a",
    b"b",
]
FILES = {
    "orchestrion.yaml": "models: { own: { provider: 'local:models/tiny.gguf', region: here } }\n",
    "agents/desk.yaml": """
name: desk
model: [own, playbook]
input: { type: object, properties: { message: { type: string } } }
playbook: { rules: [{ name: rest, answer: By rule. }] }
""",
    "workflows/ask.yaml": """
document: { dsl: '1.0.3', namespace: test, name: ask, version: '1.0.0' }
do: [{ ask: { call: 'agent:1.0.0@default', with: { agent: desk, input: { message: '${ .message }' } } } }]
""",
    "policies/all.cedar": "permit (principal, action, resource);\n",
}


def write_model(file: Path) -> None:
    """One layer of random weights, and a tokenizer of bytes."""
    random = np.random.default_rng(7)
    file.parent.mkdir(parents=True, exist_ok=True)
    made: Any = gguf.GGUFWriter(file, "llama")
    made.add_context_length(512)
    made.add_embedding_length(WIDTH)
    made.add_block_count(1)
    made.add_feed_forward_length(INNER)
    made.add_head_count(HEADS)
    made.add_head_count_kv(HEADS)
    made.add_layer_norm_rms_eps(1e-5)
    made.add_rope_dimension_count(WIDTH // HEADS)
    made.add_vocab_size(len(PIECES))
    made.add_tokenizer_model("llama")
    made.add_token_list(PIECES)
    made.add_token_scores([0.0] * len(PIECES))
    made.add_token_types([2, 3, 3, *[6] * 256, 1, 1, 1])
    made.add_bos_token_id(1)
    made.add_eos_token_id(2)
    made.add_unk_token_id(0)
    square, shapes = (WIDTH, WIDTH), {"ffn_gate": (INNER, WIDTH), "ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
    shapes |= dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), square)
    tensors = {f"blk.0.{name}.weight": shape for name, shape in shapes.items()}
    tensors |= dict.fromkeys(("token_embd.weight", "output.weight"), (len(PIECES), WIDTH))
    for name, shape in tensors.items():
        made.add_tensor(name, (random.standard_normal(shape) * 0.05).astype(np.float32))
    for name in ("output_norm.weight", "blk.0.attn_norm.weight", "blk.0.ffn_norm.weight"):
        made.add_tensor(name, np.ones(WIDTH, np.float32))
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
    made.close()


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[App]:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    async with open_app(folder) as app:
        yield app


async def asked(app: App) -> Run:
    run = await app.start(app.checked.shelf.named("ask"), {"message": "Hello"})
    return await app.engine.settle(run.id)


def served() -> list[psutil.Process]:
    """The processes that serve models for this one."""
    return [each for each in psutil.Process().children() if "orchestrion.models._local_process" in each.cmdline()]


async def model_of(app: App, run: Run) -> tuple[str, Json]:
    """Which model answered, and what failed before."""
    entries = await app.journal.entries(run.id)
    answered = next(each for each in entries if each.function.startswith("model:") and each.model)
    return str(answered.model), cast("dict[str, Json]", answered.why).get("failed")


async def test_it_begins_with_the_first_question_and_ends_with_the_project(tmp_path: Path) -> None:
    write_model(tmp_path / "models" / "tiny.gguf")
    async with opened(tmp_path) as app:
        assert served() == []
        run = await asked(app)
        assert run.status is RunStatus.COMPLETED, run.problem
        assert await model_of(app, run) == ("own", None)
        (process,) = served()
        assert await model_of(app, await asked(app)) == ("own", None)
        assert served() == [process]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert (await asked(app)).status is RunStatus.COMPLETED
        (again,) = served()
        assert again.pid != process.pid
    assert served() == []


async def test_it_is_tried_like_any_other(tmp_path: Path) -> None:
    write_model(tmp_path / "models" / "tiny.gguf")
    async with opened(tmp_path):
        pass
    async with open_rooms(tmp_path) as rooms:
        trial = await try_model(rooms, "own", SystemClock())
        assert (trial.answer is not None, trial.problem) == (True, None), "what it says is noise, but it says it"


async def test_what_cannot_be_served_falls_back_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf").write_bytes(b"GGUF no, it is not")
    async with opened(tmp_path) as app:
        run = await asked(app)
        assert run.output == {"reply": "By rule."}
        assert await model_of(app, run) == ("playbook", [{"model": "own", "problem": "model-not-usable"}])


async def test_a_file_that_is_not_there_is_found_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "orchestrion.yaml").write_text(FILES["orchestrion.yaml"])
    with pytest.raises(Exception, match=r"missing-file.*models/tiny.gguf"):
        async with open_rooms(tmp_path):
            pass
