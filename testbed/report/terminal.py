"""The tables, verdict and reasons of results, printed on a terminal."""

from __future__ import annotations

from testbed.analysis.aggregate import dilation_text
from testbed.analysis.energy import energy_of
from testbed.analysis.generations import marks_explained, points_of
from testbed.analysis.tables import tables
from testbed.analysis.validity import simulated_note
from testbed.output.console import Console
from testbed.output.visible import in_one_line
from testbed.results.directory import Results
from testbed.scenario.simulated import SIMULATED
from testbed.scenario.sweep import namer


def print_results(results: Results) -> None:
    """Print tables, verdict and reasons of a results directory."""
    console = Console()
    energy = energy_of(results.scenario())
    every = points_of(results)
    name = namer(point for point, _ in every)
    note = simulated_note(results)
    if note:
        console.print(note, soft_wrap=True)
    for point, samples in every:
        if point:
            console.rule(name(point), style="none")
        if dilated := dilation_text([row for sample in samples for row in sample.every]):
            console.print(dilated)
        for _, table in tables(samples, energy):
            console.print(table)
    for mark in marks_explained(sample for _, samples in every for sample in samples):
        console.print(mark)
    if again := sum(row.redecodes for row in results.summary().rows):
        console.print(f"{again} generations were repeated because passes were late")
    if done := results.discarded():
        console.print(f"{done} runs were repeated because they were not valid")
    if tried := results.retried():
        console.print(f"{tried} repetitions of runs that had failed")
    for warning in results.warnings():
        console.print(in_one_line(f"warning: {warning}"), soft_wrap=True)
    verdict = results.verdict()
    console.print(f"verdict: {verdict.level}{f' ({SIMULATED})' if note else ''}")
    for reason in verdict.reasons:
        console.print(in_one_line(f"  {reason}"), soft_wrap=True)
