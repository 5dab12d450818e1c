"""Hand-made results with everything that a page shows, and a parser of pages."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec

from testbed.audit.capture_evidence import Entry
from testbed.pcap.byte_ledger import Ledger
from testbed.results.directory import Results
from testbed.results.link_check import Check
from testbed.results.rows import Row
from testbed.results.verdict import Verdict, worst
from tests.support.records import make_results

HOSTILE = [
    "</script><script>document.title='owned'</script>",
    "</pre></details><img src=x onerror=\"document.title='owned'\">",
    "\"><svg/onload=document.title='owned'>' autofocus onfocus='document.title=1",
    "<!-- --!> <![CDATA[ <style>*{display:none}</style> &lt;b&gt; {{ 7 * 7 }} {% raw %}",
    "\x00\x07\x1b[31mred\x7f\x85\u202edesrever\u2028\ufeff",
    "--- prompt 2\nno heading\n--- dsd\nneither\n",
]
"""Texts that a prompt or a model may contain."""


def write_whole(
    parent: Path, rows: Sequence[Row], asked: Sequence[str], said: Sequence[str], **scenario: Any
) -> Results:
    """Return results of these rows with all other files; `said` has the text of each prompt."""
    results = make_results(parent, list(rows), ("radio up: " + said[0],))
    direction = {"rate": "10mbit", "delay": "20ms", "jitter": "0us", "loss": "1%"}
    results.write_scenario(
        {
            "name": "made",
            "description": asked[0],
            "topology": "edge",
            "verifier": "base_station",
            "links": {"radio": {"up": direction, "down": direction}},
            "methods": [
                {"method": "dsd", "label": label, "draft_length": 4}
                for label in dict.fromkeys(row.method for row in rows)
            ],
            "prompts": list(asked),
            "decoding": {"temperature": 1.0, "max_new_tokens": 48},
            **scenario,
        }
    )
    reasons = dict.fromkeys(reason for row in rows for reason in row.reasons)
    check = Check(
        link="radio", direction="up", name="delay, median", outcome="ok", unit="s",
        requested=0.02, measured=0.0201, low=0.0195, high=0.0205, note=said[0],
    )  # fmt: skip
    level = worst(row.verdict for row in rows)
    results.write_json("verdict.json", Verdict(level, [said[0], *reasons], [check]))
    results.write_json("plan.json", [{"backend": "relay", "warnings": [asked[0]]}])
    results.write_json(
        "environment.json",
        {"kernel": "6.1", "packages": {"testbed": "0.1.0"}, "commit": "0123456789ab-dirty"},
    )
    for method, repeat, point in {
        (row.method, row.repeat, msgspec.json.encode(row.point)) for row in rows
    }:
        folder = results.run(method, repeat, msgspec.json.decode(point))
        text = "".join(
            f"--- prompt {number}\n{prompt}\n--- {method}\n{answer}\n\n"
            for number, (prompt, answer) in enumerate(zip(asked, said, strict=True), 1)
        )
        (folder / "text.txt").write_bytes(text.encode())
        uses = Ledger(payload=700, messages=40, tcp_ip=52, acknowledgements=66)
        entries = [
            Entry(
                prompt=0, link="radio", direction=direction, frames=9, bytes=uses.total, uses=uses
            )
            for direction in ("up", "down")
        ]
        (folder / "ledger.json").write_bytes(msgspec.json.encode(entries))
    return results


class Parsed(HTMLParser):
    """The elements, texts and tables of a page, as a browser would parse it."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        """Texts of the elements of each kind."""
        self.tables: dict[str, list[list[str]]] = {}
        """Rows of cells of each table with rows, by its caption; of one caption the last table."""
        self._open: list[tuple[str, list[str]]] = []
        self._rows: list[list[str]] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag == "tr":
            self._rows.append([])
        if tag not in {"meta", "link", "img", "br", "wbr"}:
            self._open.append((tag, []))

    def handle_endtag(self, tag: str) -> None:
        name, parts = self._open.pop()
        assert name == tag, f"</{tag}> ends <{name}>"
        text = "".join(parts)
        self.texts.setdefault(tag, []).append(text)
        if tag in {"td", "th"}:
            self._rows[-1].append(text)
        if tag == "table":
            self.tables[self.texts["caption"][-1]] = self._rows
            self._rows = []

    def handle_data(self, data: str) -> None:
        for _, parts in self._open:
            parts.append(data)
