"""An agent's turn beside its peers - LangChain, OpenAI's agents SDK, and pydantic-ai alone, on which ours is built.

A turn is ten tool calls, one after another, with a model and a tool that cost nothing, so that the library's own work is what is
measured. In each round everybody runs as many turns as fit about the same time, in a process of its own. Then 200 of our agents
wait for a slow model at once. Run: make bench NAME=agents [QUICK=1]
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peer_measuring.environments import CACHE, environment
from peer_measuring.program import Failed, Program, running
