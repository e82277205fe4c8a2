"""The process of one local model: `python -m orchestrion.models._local_process FILE PORT`. It ends when its standard input does."""

import os
import sys
from typing import Any

from ._local import EXTRA_MISSING, UNREADABLE

CONTEXT = 8_192
"""Tokens of a conversation that it keeps in mind; more would take memory that most machines do not have."""


def main(file: str, port: int) -> int:
    try:
        import xllamacpp  # an extra
    except ImportError:
        return EXTRA_MISSING
    library: Any = xllamacpp
    parameters = library.CommonParams()
    parameters.model.path = file
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.api_keys = [os.environ.pop("ORCHESTRION_LOCAL_KEY")]
    parameters.n_ctx = CONTEXT
    parameters.use_jinja = True
    parameters.warmup = False
    try:
        server = library.Server(parameters)
    except Exception as error:
        sys.stdout.write(f"{' '.join(str(error).split())}\n")
        sys.stdout.flush()
        return UNREADABLE
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    del server
    return 0


if __name__ == "__main__":
    # its threads do not end by themselves
    os._exit(main(sys.argv[1], int(sys.argv[2])))
