"""A store with many finished runs, written by SQL directly: as old installations have them."""

import sqlite3
import sys
import time
from pathlib import Path

from measuring import say

from orchestrion.store import Store


def generate(path: Path, runs: int, *, entries: int = 2, now: float | None = None) -> None:
    """`runs` finished ones over the past 400 days, a tenth of them children, with a request each hundredth, and 20 open ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Store.open(path, mode="own").close()
    now = time.time() if now is None else now
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("pragma synchronous=off")
    database.execute("pragma cache_size=-200000")
    database.execute("begin")
    step = 400 * 86400 / runs
    numbers = f"with recursive n(i) as (select 0 union all select i + 1 from n where i < {runs - 1})"
    began = f"({now} - 400 * 86400.0 + i * {step})"
    identity = "printf('019%05x-%04x-7000-8000-%012x', i / 65536, i % 65536, i)"
    database.execute(
        f"""{numbers}
        insert into runs (id, namespace, workflow, version, digest, semantics, status, epoch, input, output, parent_id, root_id,
            batch, "row", attempt, inbox_seq, created_at, started_at, ended_at)
        select {identity}, 'scale', case i % 4 when 0 then 'ask' when 1 then 'nap' when 2 then 'parent' else 'other' end, '1.0.0',
            'digest' || (i % 4), 1,
            case when i >= {runs - 20} then 'waiting' when i % 20 = 7 then 'faulted' when i % 50 = 3 then 'cancelled' else 'completed' end, 1,
            '{{"customer":"C-1042"}}', '{{"reply":"Thank you for your message."}}',
            case when i % 10 = 1 then printf('019%05x-%04x-7000-8000-%012x', (i - 1) / 65536, (i - 1) % 65536, i - 1) end,
            case when i % 10 = 1 then printf('019%05x-%04x-7000-8000-%012x', (i - 1) / 65536, (i - 1) % 65536, i - 1) end,
            case when i % 100 < 10 then 'batch-' || (i / 10000) end, case when i % 100 < 10 then i end,
            1, 0, {began}, {began}, case when i < {runs - 20} then {began} + 2 end
        from n"""
    )
    for entry in range(entries):
        database.execute(
            f"""{numbers}
            insert into entries (run_id, key, seq, kind, status, task, function, digest, input, output, started_at, ended_at, epoch)
            select {identity}, '/do/{entry}/step{entry}#1', {entry} + 4294967296, 'leaf', 'completed', '/do/{entry}/step{entry}',
                'http:1.0.0', 'd', '{{"text":"' || hex(randomblob(60)) || '"}}', '{{"text":"' || hex(randomblob(60)) || '"}}',
                {began}, {began}, 1
            from n order by 1"""
        )
    database.execute(
        f"""{numbers}
        insert into requests (id, run_id, key, task, status, question, answer, created_at)
        select 'r' || {identity}, {identity}, '/do/0/ask#1/answer', '/do/0/ask', case when i >= {runs - 20} then 'open' else 'decided' end,
            '{{"kind":"human","title":"Go on?","role":"lead","user":null,"show":null,"labels":{{}},"form":null,"binding":null,"expires_after_s":null}}',
            case when i < {runs - 20} then '{{"verdict":"answered","by":"ana","at":1,"value":{{}},"labels":{{}},"reason":null,"binding":null}}' end,
            {began}
        from n where i % 100 = 0 or i >= {runs - 20}"""
    )
    for number in range(4):
        database.execute("insert into documents values (?, ?, ?)", (f"digest{number}", "x: y", now))
    database.execute("commit")
    database.close()


if __name__ == "__main__":
    began = time.perf_counter()
    generate(Path(sys.argv[1]), int(sys.argv[2]))
    say({"seconds": round(time.perf_counter() - began, 1), "mb": round(Path(sys.argv[1]).stat().st_size / 1e6)})
