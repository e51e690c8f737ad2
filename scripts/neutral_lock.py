"""Takes the package index out of Pipfile.lock: which one is used is each machine's own choice."""

import json
from pathlib import Path

LOCK = Path(__file__).resolve().parent.parent / "Pipfile.lock"


def neutral(lock: dict[str, dict[str, dict[str, object]]]) -> dict[str, dict[str, dict[str, object]]]:
    """The lock file without sources and without the name of an index on any package."""
    for section in lock.keys() - {"_meta"}:
        for package in lock[section].values():
            package.pop("index", None)
    lock["_meta"]["sources"] = []  # type: ignore[assignment]
    return lock


if __name__ == "__main__":
    LOCK.write_text(json.dumps(neutral(json.loads(LOCK.read_text())), indent=4) + "\n", encoding="utf-8")
