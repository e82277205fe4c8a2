"""What is optional is not needed by those who do without it."""

import subprocess
import sys

EXTRAS = ("tokenizers", "onnxruntime", "psycopg", "opentelemetry.sdk", "opentelemetry.exporter")
ONLY_WITH_AN_EXTRA = {"orchestrion.telemetry"}
"""Imported when somebody has asked for what the extra does. This only shrinks."""

IMPORT_ALL = """
import importlib, pkgutil, sys
for extra in sys.argv[1].split(","):
    sys.modules[extra] = None
import orchestrion
for module in pkgutil.walk_packages(orchestrion.__path__, "orchestrion."):
    if not module.name.startswith(("orchestrion.testing", "orchestrion.store.migrations", "orchestrion.__main__")):
        try:
            importlib.import_module(module.name)
        except ImportError:
            print(module.name)
"""


def test_every_module_can_be_imported_without_the_extras() -> None:
    found = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, ",".join(EXTRAS)], capture_output=True, text=True, check=True
    )
    assert set(found.stdout.split()) == ONLY_WITH_AN_EXTRA
