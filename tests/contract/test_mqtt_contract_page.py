"""docs/mqtt-contract.md: every example on the page is run, and comes to what the page says."""

import json
import os
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from footfall_contract import decode_health, decode_notice, decode_status, topics
from footfall_contract.errors import ContractError
from footfall_contract.report import REPORT_FIELDS, SlotReport, decode
from footfall_contract.topics import Kind
from footfall_contract.words import SLOT_LENGTHS_S, PassageClass
from footfall_role.mqtt import hang_up
from footfall_testing.waiting import wait_until

PAGE = (Path(__file__).parents[2] / "docs" / "mqtt-contract.md").read_text()

# Takes the place of a program on the PATH: keeps what it is called with, and what it is fed.
KEEPER = """#!/bin/sh
printf '%s\\0' "$@" > "$KEPT/arguments"
case " $* " in *" -s "*) cat > "$KEPT/input" ;; esac
"""


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found
    return found


PUBLISHED = [block for block in blocks("sh") if "mosquitto_pub" in block]


def published(command: str, folder: Path) -> tuple[str, bytes, list[str]]:
    """Run a command of the page with a program that keeps its arguments; return topic, payload and arguments."""
    program = folder / "mosquitto_pub"
    program.write_text(KEEPER)
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "KEPT": str(folder)}
    subprocess.run(["bash", "-euo", "pipefail", "-c", command], env=environment, check=True, timeout=30)
    arguments = (folder / "arguments").read_bytes().decode().split("\0")[:-1]
    topic = arguments[arguments.index("-t") + 1]
    if "-s" in arguments:
        return topic, (folder / "input").read_bytes(), arguments
    return topic, arguments[arguments.index("-m") + 1].encode(), arguments


@pytest.mark.parametrize("command", PUBLISHED)
def test_a_command_publishes_what_the_page_says(command: str, tmp_path: Path) -> None:
    """Each command sends a sound payload to a sound topic, or one that is refused with the words beneath it."""
    topic, payload, arguments = published(command, tmp_path)
    refusal = re.search(r"^# (.*)$", command, re.MULTILINE)
    parsed = topics.parse(topic)

    assert arguments[arguments.index("-q") + 1] == str(topics.QOS)
    assert ("-r" in arguments) is (parsed.kind in topics.RETAINED)
    if refusal:
        with pytest.raises(ContractError) as error:
            decode(payload)
        assert str(error.value) == refusal[1]
    elif parsed.kind == Kind.COUNTS:
        assert decode(payload).sensor == parsed.sensor
    elif parsed.kind == Kind.HEALTH:
        assert decode_health(payload).sensor == parsed.sensor
    else:
        assert decode_status(payload).state == "online"


def test_the_reports_of_the_page_follow_one_another(tmp_path: Path) -> None:
    """Who types all commands in order sends reports 0 to 3 of one stream, each after the end of the one before."""
    reports = [
        decode(payload)
        for command in PUBLISHED
        for topic, payload, _ in [published(command, tmp_path)]
        if topics.parse(topic).kind == Kind.COUNTS and "\n# " not in command
    ]

    assert [report.seq for report in reports] == [0, 1, 2, 3]
    assert len({report.stream for report in reports}) == 1
    assert all(later.start >= earlier.end for earlier, later in pairwise(reports))
    assert [report.is_span for report in reports] == [False, False, True, False]


def test_the_annotated_bytes_are_the_ones_sent(tmp_path: Path) -> None:
    """The report written out byte by byte is the one that the base64 beneath it holds, annotations included."""
    (annotated,) = (block for block in blocks("text") if block.startswith("ac "))
    lines = [re.match(r" *((?:[0-9a-f]{2} ?)+)(.*)", line) for line in annotated.splitlines()]
    payload = bytes.fromhex("".join(line[1] for line in lines if line))
    (command,) = (command for command in PUBLISHED if "base64" in command)

    assert published(command, tmp_path)[1] == payload
    named = list(REPORT_FIELDS)
    named.insert(named.index("sensor") + 1, "yard-1")
    assert re.findall(r'"([\w-]+)"', annotated) == named
    report = decode(payload)
    for number in (report.seq, report.start, report.slot, report.slots):
        assert re.search(rf" {number}$", annotated, re.MULTILINE)


def test_the_program_in_c_writes_reports(tmp_path: Path) -> None:
    """The C code compiles without a warning and writes the reports it says, with and without counts."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler on this machine")
    (code,) = blocks("c")
    longest = "m" * 63
    calls = [
        ("yard-1", 0, 1764000000, 3, 2),
        (longest, 4_000_000_000, 4_294_967_280, 255, 255),
        ("y" * 24, 9, 60, 0, 7),
        ("y" * 23, 9, 120, 0, 0),
    ]
    main = "".join(
        f'fwrite(b, 1, report(b, "{s}", {q}u, {t}u, {i}, {o}), stdout);fputs("|END|", stdout);'
        for s, q, t, i, o in calls
    )
    (tmp_path / "report.c").write_text(
        f"#include <stdio.h>\n{code}\nint main(void) {{ uint8_t b[512]; {main} return 0; }}\n"
    )
    warnings = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([compiler, *warnings, "-o", tmp_path / "report", tmp_path / "report.c"], check=True, timeout=60)
    written = subprocess.run([tmp_path / "report"], check=True, capture_output=True, timeout=60).stdout.split(b"|END|")

    for payload, (sensor, seq, start, came, went) in zip(written, calls, strict=False):
        report = decode(payload)
        assert (report.sensor, report.seq, report.start, report.slot, report.observed) == (
            sensor,
            seq,
            start,
            60,
            (60,),
        )
        cells = [(0, came), (1, went)]
        assert list(zip(report.direction, report.count, strict=True)) == [cell for cell in cells if cell[1]]
    promised = re.search(r"at most (\d+) with a sensor id of 63", code)
    assert promised
    assert max(map(len, written)) == int(promised[1])


def test_the_function_for_node_red_makes_reports(tmp_path: Path) -> None:
    """The function, run as Node-RED runs it, sends numbered reports of one stream, and a new one after a restart."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no Node on this machine")
    (code,) = blocks("js")
    harness = f"""
    const store = () => {{ const kept = {{}}; return {{ get: (k) => kept[k], set: (k, v) => {{ kept[k] = v; }} }}; }};
    const run = new Function("msg", "context", "flow", {json.dumps(code)});
    const sent = [];
    for (const counts of [[[3, 2], [0, 0]], [[0, 4]]]) {{
        const context = store(), flow = store();
        for (const [came, went] of counts) {{
            flow.set("in", came); flow.set("out", went);
            sent.push(run({{}}, context, flow));
        }}
    }}
    console.log(JSON.stringify(sent));
    """
    (tmp_path / "harness.js").write_text(harness)
    output = subprocess.run([node, tmp_path / "harness.js"], check=True, capture_output=True, timeout=60).stdout
    messages: list[dict[str, Any]] = json.loads(output)
    reports: list[SlotReport] = [decode(json.dumps(message["payload"]).encode()) for message in messages]

    assert {topics.parse(message["topic"]).sensor for message in messages} == {reports[0].sensor}
    assert [(report.seq, report.direction, report.count) for report in reports] == [
        (0, (0, 1), (3, 2)),
        (1, (), ()),
        (0, (1,), (4,)),
    ]
    assert reports[0].stream == reports[1].stream != reports[2].stream
    assert all(report.start % 60 == 0 and report.slot == 60 for report in reports)


def test_the_notice_of_the_page_says_what_the_page_says() -> None:
    """The commit notice is one, and covers the numbers that the text names."""
    (notice,) = blocks("json")
    (state,) = decode_notice(notice.encode()).sensors["yard-1"]

    assert [seq for seq in range(6) if state.covers(seq)] == [0, 1, 3]


def test_the_table_of_fields_is_complete() -> None:
    """The page names every field in order, every slot length and every class."""
    table = PAGE[PAGE.index("## The report") : PAGE.index("**A span**")]

    assert tuple(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == REPORT_FIELDS
    assert ", ".join(map(str, SLOT_LENGTHS_S[:-1])) in table
    for word in PassageClass:
        assert f"{int(word)} {word.name.lower()}" in table


def test_the_commands_reach_a_real_broker(mosquitto: Any, tmp_path: Path, unique: str) -> None:
    """With the real mosquitto_pub and a real broker, the bytes that arrive are those that were meant."""
    from paho.mqtt.client import Client, MQTTMessage
    from paho.mqtt.enums import CallbackAPIVersion

    program = shutil.which("mosquitto_pub")
    if program is None:
        pytest.skip("no mosquitto_pub on this machine (Debian package mosquitto-clients)")
    arrived: list[tuple[str, bytes]] = []
    subscribed: list[bool] = []
    client = Client(CallbackAPIVersion.VERSION2, client_id=f"{unique}-page")
    client.on_message = lambda _client, _data, message: arrived.append(_received(message))
    client.on_subscribe = lambda *_: subscribed.append(True)

    def _received(message: MQTTMessage) -> tuple[str, bytes]:
        return message.topic, bytes(message.payload)

    client.connect(mosquitto.host, mosquitto.port)
    client.subscribe("footfall/v1/#", qos=1)
    client.loop_start()
    try:
        wait_until(lambda: subscribed, what="the subscription")
        bridge = tmp_path / "bridge"
        bridge.mkdir()
        # The last of several -h and -p counts, so the page's own are overridden.
        (bridge / "mosquitto_pub").write_text(
            f'#!/bin/sh\nexec {program} "$@" -h {mosquitto.host} -p {mosquitto.port}\n'
        )
        (bridge / "mosquitto_pub").chmod(0o755)
        for command in PUBLISHED:
            topic, payload, _ = published(command, tmp_path)
            environment = {**os.environ, "PATH": f"{bridge}:{os.environ['PATH']}"}
            subprocess.run(["bash", "-euo", "pipefail", "-c", command], env=environment, check=True, timeout=30)
            wait_until(lambda wanted=(topic, payload): wanted in arrived, what=command)  # type: ignore[misc]
    finally:
        hang_up(client)
