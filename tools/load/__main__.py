"""Runs ``python tools/load TOOL``, importing the tools as a package."""

import importlib
import sys
from pathlib import Path

TOOLS = ("listeners", "identity", "vanish", "unread", "soak", "bodies", "stall")

if __name__ == "__main__":
    # Python puts this folder first on the path, where its modules would hide packages.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    package = importlib.import_module("load")
    if len(sys.argv) < 2 or sys.argv[1] not in TOOLS:
        print(package.__doc__)
        sys.exit(0 if sys.argv[1:] in (["-h"], ["--help"]) else 2)
    tool = importlib.import_module(f"load.{sys.argv.pop(1)}")
    sys.argv[0] = f"load {tool.__name__.removeprefix('load.')}"
    sys.exit(tool.main())
