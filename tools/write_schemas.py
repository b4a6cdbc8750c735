"""Write `schemas/` from the records, or check that it has not drifted from them.

python tools/write_schemas.py             # after a change of a record
python tools/write_schemas.py --check     # what CI runs
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rise_store.schemas import json_schemas

FOLDER = Path(__file__).parent.parent / "schemas"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only say what differs, exit code 1 when anything does")
    args = parser.parse_args()
    wanted = {f"{name}.json": json.dumps(schema, indent=2) + "\n" for name, schema in json_schemas().items()}
    found = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    stale = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if args.check:
        for name in stale:
            print(f"schemas/{name} is not what the records say; run python tools/write_schemas.py", file=sys.stderr)
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for name in stale:
        path = FOLDER / name
        if name in wanted:
            path.write_text(wanted[name], encoding="utf-8")
        else:
            path.unlink()
        print(f"schemas/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
