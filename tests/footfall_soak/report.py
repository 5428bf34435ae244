"""What a run came to: as text for people, as JSON for programs."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from footfall_soak.faults import ALL
from footfall_soak.ledger import Difference
from footfall_soak.soak import Result

SHOWN = 20


def text(result: Result, again: str) -> str:
    """The report; `again` is the command that repeats the run."""
    return "\n".join(_lines(result, again)) + "\n"


def _lines(result: Result, again: str) -> Iterator[str]:
    balance, counted = result.balance, result.by_kind
    yield f"faults survived: {sum(counted.values())}, of {len(counted)} of the {len(ALL)} kinds"
    for group in ("process", "network", "message", "line"):
        names = [fault.name for fault in ALL if fault.group == group and counted[fault.name]]
        if names:
            yield f"  {group}: " + ", ".join(f"{name} {counted[name]}" for name in names)
    for strike in result.missed:
        yield f"  did not come about: {strike.fault} of {strike.target} at {strike.at_s:.0f} s"
    yield ""
    yield f"passages         {balance.passages:>9}  in {balance.cells} cells of sensor, direction and class"
    yield f"lost             {balance.lost:>9}"
    yield f"double           {balance.double:>9}"
    yield f"never reported   {balance.never_reported:>9}  in a device's open interval when it lost its power"
    yield f"stored           {balance.stored:>9}"
    settled = "never" if result.settled_s is None else f"{result.settled_s:.0f} s after the last fault"
    yield f"all was stored: {settled}"
    longest = max(result.recoveries, key=lambda one: one.seconds, default=None)
    if longest:
        strike = longest.strike
        where = f"{strike.target}, at {strike.at_s:.0f} s"
        yield f"longest recovery: {longest.seconds:.1f} s after {strike.fault} ({where})"
    yield ""
    yield "memory, MB                 peak   last third against first"
    for name, usage in result.memory.items():
        yield f"  {name:<22} {usage.peak / 1e6:>6.1f}   {100 * usage.growth:+.0f} %"
    yield ""
    for fault in result.faults[:SHOWN]:
        yield f"WRONG: {fault}"
    if len(result.faults) > SHOWN:
        yield f"WRONG: and {len(result.faults) - SHOWN} more"
    if result.interrupted:
        yield "interrupted: this is the balance of what was so far"
    yield "GOOD: nothing lost, nothing counted twice" if result.good else "NOT GOOD"
    yield f"again: {again}"


def what_to_look_at(result: Result, logs: Mapping[str, Path]) -> str:
    """For a run that went wrong: the cells that differ, the faults that touched their sensors, what the logs say."""
    return "\n".join(_hints(result, logs)) + "\n"


def _hints(result: Result, logs: Mapping[str, Path]) -> Iterator[str]:
    differences = result.balance.differences
    for one in differences[:SHOWN]:
        yield _sentence(one)
    sensors = {one.cell[0] for one in differences}
    options = result.options
    touching = [
        one
        for one in result.happened
        if sensors & set(options.faults[one.strike.fault].concerns(options.layout, one.strike.target))
    ]
    if touching:
        yield "faults that touched these sensors:"
    for happened in touching:
        strike = happened.strike
        yield f"  {happened.began_s:6.1f} to {happened.ended_s:6.1f} s  {strike.fault}: {strike.target}"
    for name, log in logs.items():
        telling = _telling(log.read_text(errors="replace"), sensors)
        if telling:
            yield f"log of {name} ({log}):"
            yield from (f"  {line[:300]}" for line in telling)


def _sentence(one: Difference) -> str:
    sensor, direction, class_ = one.cell
    return f"{sensor}, direction {direction}, class {class_}: true {one.true}, stored {one.stored}"


_LEVEL = re.compile(r"^\S+Z (WARNING|ERROR|CRITICAL) ")


def _telling(log: str, sensors: set[str]) -> list[str]:
    lines = log.splitlines()
    chosen = [
        line
        for line in lines
        if "Traceback" in line or "quarantined" in line or (_LEVEL.match(line) and any(one in line for one in sensors))
    ]
    return chosen[-SHOWN:]


def as_json(result: Result) -> dict[str, Any]:
    """The same for programs. Times in seconds, memory in bytes."""
    balance = result.balance
    return {
        "seed": result.options.seed,
        "seconds": result.options.seconds,
        "workers": result.options.layout.workers,
        "good": result.good,
        "interrupted": result.interrupted,
        "faults": {fault.name: result.by_kind[fault.name] for fault in ALL},
        "did_not_come_about": [strike.fault for strike in result.missed],
        "passages": balance.passages,
        "lost": balance.lost,
        "double": balance.double,
        "never_reported": balance.never_reported,
        "stored": balance.stored,
        "settled_s": result.settled_s,
        "recoveries": [
            {"fault": one.strike.fault, "target": one.strike.target, "at_s": one.strike.at_s, "seconds": one.seconds}
            for one in result.recoveries
        ],
        "memory": {
            name: {"peak": usage.peak, "first_third": usage.first_third, "last_third": usage.last_third}
            for name, usage in result.memory.items()
        },
        "differences": [_difference(one) for one in balance.differences],
        "wrong": list(result.faults),
        "happened": [
            {
                "fault": one.strike.fault,
                "target": one.strike.target,
                "began_s": round(one.began_s, 2),
                "ended_s": round(one.ended_s, 2),
            }
            for one in result.happened
        ],
    }


def _difference(one: Difference) -> dict[str, Any]:
    sensor, direction, class_ = one.cell
    return {"sensor": sensor, "direction": direction, "class": class_, "true": one.true, "stored": one.stored}
