"""The page that lists every check: `python -m testbed.audit.verdicts_page` prints it."""

from __future__ import annotations

from testbed.audit.base import checks
from testbed.output.terminal import write

_PAGE = """\
# Verdicts

A run is *valid*, *suspect* or *invalid*, and `verdict.json` says why. Suspect generations count and
carry a star; invalid ones are in no table and no figure. The verdict on a generation is never
better than those on its run and its network.

Each check is one file in `testbed/audit/checks/`; adding a file adds a check. This page is
generated from them; regenerate it with
`python -m testbed.audit.verdicts_page > testbed/docs/verdicts.md`.

A simulated run is judged by the checks that say *yes* in the last column. The others judge what
only emulation has: links to measure beforehand, captured frames, packet logs, a relay and nodes
that wait for processors. A virtual clock waits for all of them.

| check | verdict | what is judged, and when | valid if | remedy | simulated runs, too |
|---|---|---|---|---|---|
"""


def verdicts_page() -> str:
    """Return testbed/docs/verdicts.md, in Markdown."""
    return _PAGE + "".join(
        f"| `{check.name}` | {check.level} | {check.judged} | {check.limit} | {check.remedy} "
        f"| {'yes' if check.simulated else 'no'} |\n"
        for check in checks()
    )


if __name__ == "__main__":
    write(verdicts_page())
