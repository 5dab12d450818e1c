"""The record of one run: rows, texts and rounds of its generations, on whatever bench."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from testbed import clock
from testbed.analysis.phases import Recovery
from testbed.analysis.summary import summarise
from testbed.analysis.validity import extrapolated, spans_of, validity
from testbed.experiment.generation import Generation
from testbed.experiment.rounds import time_rounds
from testbed.experiment.routes import Routes
from testbed.links.unmet import unmet
from testbed.results.plan import Plan
from testbed.results.rows import Row, WireBytes
from testbed.results.verdict import Verdict
from testbed.scenario.methods import MethodEntry
from testbed.scenario.scenario import Scenario
from testbed.scenario.simulated import SIMULATED


class RunRecord:
    """Collects the generations of a run, and writes text.txt and rounds.json into its folder."""

    def __init__(
        self,
        *,
        scenario: Scenario,
        plan: Plan,
        routes: Routes,
        entry: MethodEntry,
        repetition: int,
        folder: Path,
    ) -> None:
        self._scenario, self._plan, self._routes = scenario, plan, routes
        self._entry, self._repetition, self._folder = entry, repetition, folder
        self._generations: list[tuple[Row, Generation]] = []

    @property
    def rows(self) -> list[Row]:
        """The rows so far, in order."""
        return [row for row, _ in self._generations]

    def add(
        self,
        prompt: int,
        generation: Generation,
        *,
        links: Mapping[str, WireBytes],
        plain: Mapping[str, WireBytes],
        verdict: Verdict,
        redecodes: int = 0,
    ) -> Row:
        """Write the text of a generation and return its row, final once `finish` has returned.

        `links` has the traffic of all shaped links while it was decoded, `plain` of all others.
        """
        own = self._routes.own_links[generation.device]
        self._write_text(prompt, generation)
        row = summarise(
            label=self._entry.label,
            point=self._plan.point,
            repetition=self._repetition,
            prompt=prompt,
            name=generation.device,
            result=generation.result,
            device=generation.events,
            verifier=generation.answers,
            links={**{name: each for name, each in plain.items() if name in own}, **links},
            own_links=own,
            route=self._routes.route(generation.device),
            time_dilation=clock.dilation(),
            redecodes=redecodes,
            verdict=verdict.level,
            reasons=verdict.reasons,
            backend=self._plan.backend,
            extrapolated=self._extrapolated(generation),
        )
        self._generations.append((row, generation))
        return row

    def finish(self, recoveries: Mapping[str, Recovery]) -> list[Row]:
        """Write rounds.json; return all rows, with the durations and phases of their rounds.

        `recoveries` are by device; without one, loss recovery counts as queue.
        """
        path = self._folder / "rounds.json"
        time_rounds(path, self._routes, self._generations, recoveries)
        return self.rows

    def unmet(self, seconds: float, begun: Mapping[str, float | None]) -> list[str]:
        """Return the parts of schedules and traces that a run of so many `seconds` did not reach.

        `begun` has the seconds since time 0 of each link's schedule; None if it has not come.
        """
        scenario = self._scenario
        return unmet(scenario.links, scenario.schedules, scenario.handovers, seconds, dict(begun))

    def _extrapolated(self, generation: Generation) -> list[str]:
        if self._plan.backend != SIMULATED:
            return []
        links = self._routes.shaped(generation.device)
        drafted = generation.result.counts.draft_lengths
        return extrapolated(spans_of(self._scenario, links, drafted), validity())

    def _write_text(self, prompt: int, generation: Generation) -> None:
        alone = len(self._routes.own_links) == 1
        name = "text.txt" if alone else f"text.{generation.device}.txt"
        with (self._folder / name).open("a", encoding="utf-8") as file:
            file.write(
                f"--- prompt {prompt + 1}\n{self._scenario.prompts[prompt]}"
                f"\n--- {self._entry.label}\n{generation.result.text}\n\n"
            )
