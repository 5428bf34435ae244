"""The units: systemd understands each line, little is left that they could do, and they fit the programs they start."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from footfall_role.settings import WRONG_SETTINGS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "systemd"
SERVICES = sorted(FOLDER.glob("*.service"))
UNITS = [*SERVICES, *sorted(FOLDER.glob("*.timer"))]

EXPOSURE = {
    "footfall-api": 1.2,
    "footfall-backup": 1.2,
    "footfall-bridge": 1.6,  # it may ask for the clock's state, by calls that could set it if it had the capability
    "footfall-dump": 1.2,
    "footfall-edge": 2.1,  # it opens serial lines, and shares the machine's users, one of whose groups may
    "footfall-firstboot": 1.5,  # it is root, without a network
    "footfall-ingest": 1.2,
    "footfall-publish": 1.2,
    "footfall-push@": 1.2,
}
"""The most that `systemd-analyze security` may say of each, from 0 to 10; a service without any of this has 9.6."""


def values(unit: Path, key: str) -> list[str]:
    """What a unit assigns to `key`, in order."""
    return re.findall(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE)


def name_of(unit: Path) -> str:
    """A unit's name, for the list of tests."""
    return unit.name


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``systemd-analyze``, which needs no running systemd."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("unit", UNITS, ids=name_of)
def test_systemd_understands_each_line(unit: Path, tmp_path: Path) -> None:
    """Not a word of warning; the programs, which are not installed here, stand aside."""
    for each in UNITS:  # a timer looks for its service
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", each.read_text(), flags=re.MULTILINE)
        (tmp_path / each.name).write_text(text)

    done = analyze("verify", "--man=no", str(tmp_path / unit.name))

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_slip_in_a_unit_is_seen(tmp_path: Path) -> None:
    """The test above would notice: an unknown name is a warning."""
    text = (FOLDER / "footfall-ingest.service").read_text().replace("PrivateTmp=", "PrivateTemp=")
    (tmp_path / "footfall-slip.service").write_text(
        text.replace("/opt/footfall/current/bin/footfall-ingest", "/bin/true")
    )

    assert "PrivateTemp" in analyze("verify", "--man=no", str(tmp_path / "footfall-slip.service")).stderr


@pytest.mark.parametrize("unit", SERVICES, ids=name_of)
def test_little_is_left_that_a_service_could_do(unit: Path) -> None:
    """The exposure that systemd works out is the stated one or less."""
    done = analyze("security", "--offline=yes", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)

    assert found, done.stdout + done.stderr
    assert float(found[1]) <= EXPOSURE[unit.stem]


def test_the_broker_may_do_little_too(tmp_path: Path) -> None:
    """Debian's unit leaves it everything; with what we add, systemd has nothing to say and little is left."""
    added = (FOLDER.parent / "mosquitto" / "mosquitto.service.d" / "footfall.conf").read_text()
    unit = tmp_path / "mosquitto.service"
    unit.write_text(
        "[Service]\nType=notify\nExecStart=/bin/true\nExecReload=/bin/kill -HUP $MAINPID\n"
        + re.sub(r"\+/opt/footfall/\S+", "+/bin/true", added)
    )

    verified = analyze("verify", "--man=no", str(unit))
    left = analyze("security", "--offline=yes", "--no-pager", str(unit))

    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", left.stdout)
    assert found, left.stdout + left.stderr
    assert float(found[1]) <= 2.5


@pytest.mark.parametrize("unit", SERVICES, ids=name_of)
def test_a_service_is_nobody_who_may_do_anything(unit: Path) -> None:
    """A user of its own without capabilities; the one that writes root's files has no network instead."""
    if unit.stem == "footfall-firstboot":
        assert values(unit, "PrivateNetwork") == ["yes"]
        assert values(unit, "RestrictAddressFamilies") == ["none"]
    else:
        assert values(unit, "User")[0].startswith("footfall-")
        assert values(unit, "CapabilityBoundingSet") == [""]
        assert values(unit, "RestrictAddressFamilies") == ["AF_UNIX AF_INET AF_INET6"]
    for key in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "MemoryDenyWriteExecute"):
        assert values(unit, key) == ["yes"], key
    assert values(unit, "ProtectSystem") == ["strict"]
    assert values(unit, "LimitCORE") == ["0"]


@pytest.mark.parametrize("unit", SERVICES, ids=name_of)
def test_secrets_are_files_of_roots_that_the_unit_waits_for(unit: Path) -> None:
    """Each is handed over as a credential, named by a variable, and missed by its path before anything is started."""
    credentials = dict(text.split(":") for text in values(unit, "LoadCredential"))
    named = [text.partition("=%d/") for text in values(unit, "Environment") if "=%d/" in text]

    assert all(path.startswith("/etc/footfall/secrets/") for path in credentials.values())
    assert set(credentials.values()) <= set(values(unit, "AssertPathExists"))
    assert {credential for _, _, credential in named} == set(credentials)
    assert all(variable.endswith("_FILE") for variable, _, _ in named)
    assert not re.search(r"(?i)(password|token|dsn)=(?!%d)", "\n".join(values(unit, "Environment")))


@pytest.mark.parametrize("unit", SERVICES, ids=name_of)
def test_the_program_understands_what_the_unit_gives_it(unit: Path, tmp_path: Path) -> None:
    """Its words and its variables, with the settings that an administrator begins with: nothing is refused."""
    (command,) = values(unit, "ExecStart")
    program, *words = command.split()
    if not program.startswith("/opt/footfall/current/bin/footfall-"):
        pytest.skip("it starts a script, which has tests of its own")
    role = program.removeprefix("/opt/footfall/current/bin/footfall-")
    settings = words[words.index("--config") + 1].replace("/etc/footfall/", str(ROOT / "deploy") + "/") + ".example"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path), "FOOTFALL_PUBLISH_MQTT__ENABLED": "true"}
    for text in values(unit, "Environment"):
        variable, _, value = text.partition("=")
        if value.startswith("%d/"):
            (tmp_path / value.removeprefix("%d/")).write_text("postgresql://somebody:a-long-secret@database/footfall")
        environment[variable] = value.replace("%d", str(tmp_path)).replace("%S", "/var/lib")

    # The settings are read before anything else is done, and shown instead of used.
    place = words.index("--config")
    shown = _run(role, [*words[:place], "--config", settings, "--print-config"], environment)
    commands = [word for word in words[:place] + words[place + 2 :] if re.fullmatch(r"[a-z][a-z-]*", word)]
    helped = _run(role, [*commands, "--help"], environment)

    assert shown.returncode == 0, shown.stderr
    assert "a-long-secret" not in shown.stdout
    assert helped.returncode == 0, helped.stderr
    for option in re.findall(r"--[a-z-]+", command):
        assert option in helped.stdout, option


def _run(role: str, words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"footfall_{role}", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_who_has_no_help_from_another_start_is_not_started_again() -> None:
    """Wrong settings (78), a wrong option or a missing package (2), a missing secret (243 is systemd's own)."""
    for unit in SERVICES:
        if values(unit, "Restart"):
            assert values(unit, "Restart") == ["always"]
            assert values(unit, "RestartPreventExitStatus") == [f"2 {WRONG_SETTINGS} 243"]
            assert int(values(unit, "RestartSec")[0]) >= 5
            assert values(unit, "StartLimitIntervalSec") == ["0"]


def test_whoever_speaks_to_the_watchdog_has_one() -> None:
    """And says where it stood when it is ended."""
    watched = [unit.stem for unit in SERVICES if values(unit, "WatchdogSec")]

    assert watched == ["footfall-api", "footfall-bridge", "footfall-edge", "footfall-ingest"]
    for unit in SERVICES:
        if unit.stem in watched:
            assert values(unit, "Type") == ["notify"]
            assert "PYTHONFAULTHANDLER=1" in values(unit, "Environment")


def test_a_box_may_ask_whether_its_clock_is_right() -> None:
    """``clock = "ntp"`` asks the kernel by calls that systemd counts among those that set the clock."""
    for name in ("footfall-edge", "footfall-bridge"):
        unit = FOLDER / f"{name}.service"
        assert values(unit, "ProtectClock") == []
        assert values(unit, "SystemCallFilter")[-1] == "adjtimex clock_adjtime clock_adjtime64"


def test_a_box_opens_serial_lines_and_no_other_device() -> None:
    """Also of adapters that are plugged in later: their kinds are made known to the kernel before."""
    unit = FOLDER / "footfall-edge.service"

    assert values(unit, "DevicePolicy") == ["closed"]
    assert values(unit, "DeviceAllow") == ["char-ttyUSB rw", "char-ttyACM rw", "char-ttyAMA rw"]
    for module in ("usbserial", "cdc_acm"):
        assert f"modprobe@{module}.service" in values(unit, "Wants")[0].split()
        assert f"modprobe@{module}.service" in values(unit, "After")[0].split()


def test_rules_for_adapters_are_well_formed() -> None:
    """Comma-separated matches and assignments, in the examples too; ModemManager is told to keep off."""
    word = r'[A-Z]+(\{[A-Za-z_]+\})?(==|!=|=|\+=|:=)"[^"]*"'
    lines = [line for line in (ROOT / "deploy/udev/99-footfall.rules").read_text().splitlines() if "==" in line]

    assert len(lines) == 4
    for line in lines:
        assert re.fullmatch(rf"#?{word}(, {word})*", line), line
    assert any('ENV{ID_MM_PORT_IGNORE}="1"' in line for line in lines)
