"""The page that lists every check: `python -m testbed.audit.verdicts_page` prints it."""

from __future__ import annotations

from testbed.audit.base import checks
from testbed.output.terminal import write

_PAGE = """\
# Verdicts

A run is *valid*, *suspect* or *invalid*, and `verdict.json` says why. Suspect generations count and
carry a star; invalid ones are in no table and no figure. The verdict on a generation is never
better than those on its run and its network.

Each check is one file in `testbed/audit/checks/`; a new file there is all that a new check needs.
This page is made of them: `python -m testbed.audit.verdicts_page > testbed/docs/verdicts.md`.

| check | verdict | judged | still valid | remedy |
|---|---|---|---|---|
"""


def verdicts_page() -> str:
    """Return testbed/docs/verdicts.md, in Markdown."""
    return _PAGE + "".join(
        f"| `{check.name}` | {check.level} | {check.judged} | {check.limit} | {check.remedy} |\n"
        for check in checks()
    )


if __name__ == "__main__":
    write(verdicts_page())
