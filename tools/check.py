"""Every check of the project, one after the other: lint, format, types, schemas, tests.

python tools/check.py             # all; arguments go to pytest, as in `python tools/check.py -m slow`
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> int:
    python = [sys.executable, "-m"]
    checks = {
        "lint": [*python, "ruff", "check", "."],
        "format": [*python, "ruff", "format", "--check", "."],
        "types": [*python, "mypy"],
        "schemas": [sys.executable, "tools/write_schemas.py", "--check"],
        "tests": [*python, "pytest", *sys.argv[1:]],
    }
    for name, command in checks.items():
        started = time.monotonic()
        print(f"{name}: {' '.join(command[1:])}", flush=True)
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code:
            print(f"{name} failed (exit code {code})", file=sys.stderr)
            return code
        print(f"{name} passed in {time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
