"""Sensors of several kinds in one simulation: their settings, orders to them, and how they end."""

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import serial

from footfall_role.settings import SettingsError, print_config
from footfall_sim.__main__ import main
from footfall_sim.control import CommandOrder, OrderError
from footfall_sim.devices import _radar
from footfall_sim.faults import Fault
from footfall_sim.radar import Mounting, Weaknesses
from footfall_sim.radar_sensor import RadarDesign
from footfall_sim.runner import Runner
from footfall_sim.scene import Line
from footfall_sim.settings import (
    USUAL_BAUD,
    LineJsonSettings,
    LineSettings,
    ModbusSettings,
    MountingSettings,
    SimSettings,
    WeaknessSettings,
)
from footfall_sim.ti_people import PROFILES
from footfall_sim.truth import read_truth
from footfall_sim.view import IWR6843, LD2450
from footfall_testing.waiting import wait_until


def one(**sensor: Any) -> SimSettings:
    return SimSettings.from_options({"sensor": [{"id": "a", **sensor}]})


@pytest.mark.parametrize(
    ("sensor", "sentence"),
    [
        ({"protocol": "morse"}, "--protocol: Input should be 'reference', 'modbus', 'line-json'"),
        ({"modbus": {}}, "[sensor.modbus] is for protocol modbus, and a speaks reference"),
        ({"protocol": "modbus", "line_json": {}}, "[sensor.line_json] is for protocol line-json, and a speaks modbus"),
        ({"protocol": "modbus", "interval_s": 1}, "interval_s is for protocol reference, and a speaks modbus"),
        ({"protocol": "line-json", "ring": 5}, "ring is for protocol reference, and a speaks line-json"),
        ({"protocol": "modbus", "modbus": {"slave": 248}}, "--slave: Input should be less than or equal to 247"),
        ({"protocol": "modbus", "modbus": {"out_address": 1}}, "in_address and out_address share register 1"),
        ({"protocol": "modbus", "modbus": {"uptime_address": 2}}, "out_address and uptime_address share register 2"),
        ({"protocol": "modbus", "modbus": {"in_address": 65_535}}, "in_address 65535 needs a second register"),
        ({"protocol": "modbus", "modbus": {"width": 24}}, "--width: Input should be 16 or 32 (it is 24)"),
        ({"line": {}}, "[sensor.line] is for protocol ld2450 or protocol ti-people, and a speaks reference"),
        ({"protocol": "ld2450", "line": {"from": [1, 1], "to": [1, 1]}}, "a counting line has two different points"),
        ({"protocol": "ti-people", "mounting": {"height_m": 30}}, "a sensor hangs 0 to 20 m high"),
        ({"protocol": "ld2450", "mounting": {"tilt_deg": 5}}, "an HLK-LD2450 is mounted level; tilt_deg = 5.0 is for"),
        ({"protocol": "ld2450", "profile": "iwrl6844"}, "profile is for protocol ti-people, and a speaks ld2450"),
        ({"protocol": "ti-people", "profile": "x"}, "--profile: no such firmware; there are 3d-people-counting,"),
        ({"protocol": "line-json", "line_json": {"every_s": 0}}, "it never says anything"),
        (
            {"protocol": "line-json", "line_json": {"increments": True, "memory": "non-volatile"}},
            'memory = "non-volatile" needs totals',
        ),
    ],
)
def test_settings_that_cannot_be(sensor: dict[str, Any], sentence: str) -> None:
    """Each is refused with what is wrong and what would be right."""
    with pytest.raises(SettingsError) as refused:
        one(**sensor)

    assert sentence in str(refused.value)


def test_sixteen_bits_need_one_register() -> None:
    """Addresses that would overlap as 32 bits are fine."""
    settings = one(protocol="modbus", modbus={"width": 16, "in_address": 65_534, "out_address": 65_535})

    assert settings.sensor[0].modbus is not None


def test_settings_in_force_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A protocol's table with its defaults, which can be read back, also through an option that is added."""
    assert main(["--protocol", "line-json", "--print-config"]) == 0
    assert "[sensor.line_json]\n" in capsys.readouterr().out
    file = tmp_path / "sim.toml"
    file.write_text(
        '[[sensor]]\nid = "a"\nprotocol = "modbus"\n[sensor.modbus]\nslave = 9\n[[sensor]]\nid = "b"\n'
        'protocol = "ld2450"\n[sensor.line]\nto = [1, 5]\n'
    )
    assert main(["--config", str(file), "--seed", "3", "--print-config"]) == 0
    shown = capsys.readouterr().out
    file.write_text(shown)

    assert "slave = 9\n" in shown
    assert 'word_order = "high-first"\n' in shown
    assert "from = [0.0, 0.0]\nto = [1.0, 5.0]\n" in shown
    assert print_config(SimSettings.load(file)) == shown


@pytest.mark.parametrize(
    ("sensor", "baud"),
    [({}, 115_200), ({"protocol": "modbus"}, 19_200), ({"protocol": "modbus", "baud": 9_600}, 9_600)],
)
def test_a_line_is_as_fast_as_is_usual(sensor: dict[str, Any], baud: int) -> None:
    """If nothing else is set."""
    assert one(**sensor).sensor[0].line_baud == baud


def test_a_radar_is_built_from_its_settings() -> None:
    """Line, mounting, weaknesses and firmware as they are set; what is not set is as the make is known for."""
    weak = {"noise_m": 0.25, "drop": 0.1, "ghosts_per_h": 120}
    place = {"line": {"from": [1, 2], "to": [3, 4]}, "mounting": {"height_m": 3, "tilt_deg": 20}}
    radar = one(protocol="ti-people", profile="iwrl6844", weaknesses=weak, **place).sensor[0]
    eyes = replace(IWR6843, noise_m=0.25, noise_limit_m=0.75, drop=0.1, ghosts_per_min=2)

    assert _radar(radar, 7) == RadarDesign(
        "ti-people", Line(1, 2, 3, 4), Mounting(3, 20), Weaknesses(eyes), PROFILES["iwrl6844"], "7 a"
    )
    assert _radar(one(protocol="ld2450").sensor[0], 7).weaknesses == Weaknesses(LD2450)


@pytest.fixture
def mixed(tmp_path: Path) -> SimSettings:
    kinds = {"ref": {}, "bus": {"protocol": "modbus"}, "esp": {"protocol": "line-json"}}
    sensors = [{"id": name, **kind} for name, kind in kinds.items()]
    options = {"state_dir": tmp_path, "drain_s": 0.2, "pedestrians": False, "sensor": sensors}
    return SimSettings.from_options(options)


def test_orders_to_all_kinds(mixed: SimSettings) -> None:
    """A passage by order happens to each; an undirected one is refused where there is no place for it, for all."""
    with Runner(mixed) as runner:
        with pytest.raises(OrderError, match="bus speaks modbus, which knows the directions in"):
            runner._obey(CommandOrder.model_validate({"command": "passage", "direction": 2}))
        runner._obey(CommandOrder.model_validate({"command": "passage", "direction": 1, "count": 2}))
        answer = runner._obey(CommandOrder.model_validate({"command": "stop_pedestrians"}))

        assert [sensor["protocol"] for sensor in answer["sensors"]] == ["reference", "modbus", "line-json"]
        assert [sensor["closed_totals"] for sensor in answer["sensors"]] == [{"1": 2}] * 3
    for sensor in mixed.sensor:
        assert read_truth(mixed.truth_of(sensor)).totals == {1: 2}


def test_the_end_says_what_is_kept_and_what_is_lost(mixed: SimSettings) -> None:
    """Without hosts the reference counter and the registers keep what they counted, the RAM of the third does not."""
    with Runner(mixed) as runner:
        runner._obey(CommandOrder.model_validate({"command": "passage"}))
        held = runner.run(lambda: True)

    assert (held.kept, held.lost) == (["ref", "bus"], ["esp"])
    lost = {sensor.id: read_truth(mixed.truth_of(sensor)).never_reported for sensor in mixed.sensor}
    assert lost == {"ref": {}, "bus": {}, "esp": {0: 1}}


def test_nobody_passes_a_new_sensor_before_a_host_has_heard_it(tmp_path: Path) -> None:
    """Its first total is where a host begins to count, so there is nothing in it that nobody will count.

    One that is acknowledged keeps what passed, and one that was heard before goes on where it was.
    """
    settings = SimSettings.from_options(
        {
            "state_dir": tmp_path,
            "wait_for_host": True,
            "at_least_per_min": 600,
            "sensor": [{"id": "ref"}, {"id": "esp", "protocol": "line-json", "line_json": {"every_s": 0.1}}],
        }
    )
    with Runner(settings) as runner:
        ref, esp = runner.sensors
        assert (ref.walking, esp.walking) == (True, False)

        def lived() -> bool:
            esp.step(time.monotonic())
            return esp.walking

        until = time.monotonic() + 1
        while time.monotonic() < until:
            assert not lived()
            time.sleep(0.01)
        heard = time.time()
        with serial.Serial(str(esp.link), exclusive=True, timeout=0.01) as host:
            # Opening it threw away what lay there: gone, and heard by nobody.
            until = time.monotonic() + 0.5
            while time.monotonic() < until:
                assert not lived()
                time.sleep(0.01)
            wait_until(lambda: (bool(host.read(4096)) and lived()) or lived(), what="the sensor to be heard")
            wait_until(lambda: lived() and read_truth(settings.truth_of(settings.sensor[1])).passages, what="somebody")
        assert read_truth(settings.truth_of(settings.sensor[1])).passages[0].utc_s > heard
    with Runner(settings) as runner:
        assert all(sensor.walking for sensor in runner.sensors)


def test_a_memory_of_another_kind_is_left_alone(mixed: SimSettings, tmp_path: Path) -> None:
    """A sensor whose protocol was changed says so instead of beginning at 0; its old memory is as it was."""
    with Runner(mixed) as runner:
        runner.run(lambda: True)
    before = (tmp_path / "ref.memory").read_bytes()
    changed = ["--state-dir", str(tmp_path), "--id", "ref", "--protocol", "modbus"]

    assert main(changed) == 2
    assert (tmp_path / "ref.memory").read_bytes() == before


def test_the_page_about_the_simulator_names_every_setting() -> None:
    """docs/simulator.md has each key of each protocol's table, and each default as it is."""
    page = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    defaults = [(re.findall(r"`([a-z_]+)`", row[0]), row[1].replace("`", "")) for row in rows if len(row) == 3]
    for section in (ModbusSettings, LineJsonSettings):
        for name, field in section.model_fields.items():
            value = "none" if field.default is None else json.dumps(field.default).removesuffix(".0")
            assert any(name in keys and value in default for keys, default in defaults), name
    for section in (LineSettings, MountingSettings, WeaknessSettings):
        for name, field in section.model_fields.items():
            assert f"`{field.alias or name}`" in page
    assert all(f"| `{protocol}` |" in page and f" {baud} |" in page for protocol, baud in USUAL_BAUD.items())
    assert all(f"`{fault}`" in page for fault in Fault)
