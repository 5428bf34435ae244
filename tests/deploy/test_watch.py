"""footfall is watched: what Prometheus asks is there, alerts do what they say, and each leads to a paragraph.

`promtool` is in Debian's package prometheus, `amtool` in prometheus-alertmanager; without them these tests skip aloud.
"""

import json
import math
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from footfall_contract import __version__
from footfall_demo.broker import Broker
from footfall_demo.ports import free_port
from footfall_ingest import backup_textfile
from footfall_ingest.backup_manifest import Backup, Manifest
from footfall_role import metrics
from footfall_role.settings import MqttSettings
from footfall_testing.certificates import made
from footfall_testing.databases import Pool
from footfall_testing.waiting import wait_until
from footfall_testing.watched import (
    HELD_BACK,
    NODE,
    ROLES,
    SECRETS,
    SENSOR,
    STATION,
    Program,
    Running,
    lines_of_json,
    samples_of,
)

pytestmark = [
    pytest.mark.xdist_group("watch"),  # they share one installation
    pytest.mark.timeout(400),  # six programs start, on a machine that does other things too
]

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
ALERTMANAGER = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
RUNBOOK = ROOT / "docs" / "alerts.md"
PUBLISHED = "https://example.org/footfall/docs/alerts.md"

FOREIGN = {
    "up": "Prometheus itself",
    "ALERTS": "Prometheus itself",
    "probe_success": "blackbox_exporter",
    "probe_ssl_earliest_cert_expiry": "blackbox_exporter",
    "node_filesystem_avail_bytes": "node_exporter",
    "node_filesystem_size_bytes": "node_exporter",
    "node_timex_sync_status": "node_exporter",
}
"""Metrics that no role of ours answers, and who does."""

FROM_TARGETS = {"job", "instance", "node", "mountpoint", "fstype"}
"""Labels that the targets' files or the exporters add."""

NAME = re.compile(r"\b(?:footfall|node|probe)_[a-z0-9_]+\b(?!\s*=)|\bup\b|\bALERTS\b")
SELECTOR = re.compile(r"\b(footfall_[a-z0-9_]+)\{([^}]*)\}")


def tool(name: str, package: str) -> str:
    """The path of a program."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed: apt-get install {package}")
    return found


def promtool(*words: str, text: str | None = None) -> str:
    """Run promtool beside the rules; what it says. It has to be content."""
    done = subprocess.run(
        [tool("promtool", "prometheus"), *words],
        cwd=PROMETHEUS,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def running(open_folder: Path, plain_pool: Pool, mosquitto: Broker) -> Iterator[Running]:
    """Every role at work."""
    folder = open_folder / f"watched-{os.urandom(4).hex()}"
    folder.mkdir()
    with plain_pool.database() as dsn, Running(dsn, mosquitto, folder) as found:
        yield found


@pytest.fixture(scope="module")
def answered(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The pages of all roles for Prometheus.

    The broker of the tests speaks no TLS, so what a role says where it has certificates is taken from what makes its
    page, and so is what a backup leaves, which has tests of its own.
    """
    folder = tmp_path_factory.mktemp("certificates")
    mqtt = MqttSettings(tls=True, ca_file=made(folder, "ca", 30), cert_file=made(folder, "client", 10))
    with_tls = generate_latest(metrics.exposed("edge", __version__, of=[], mqtt=mqtt)).decode()
    newest: dict[str, Any] = {"taken": datetime(2026, 3, 1, 3, tzinfo=UTC), "size": 1}
    good = Backup(folder, Manifest.model_construct(**newest))
    backup = backup_textfile.text(backup_textfile.Run(ended_s=1, seconds=1, success=True), [good])
    return {role: running.text(role) for role in (*ROLES, "dump")} | {"with TLS": with_tls, "backup": backup}


def rules() -> list[dict[str, Any]]:
    """All alerts."""
    document = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def alerts() -> list[str]:
    """Their names."""
    return [rule["alert"] for rule in rules()]


def panels() -> Iterator[tuple[str, str]]:
    """Each question to Prometheus of a dashboard, with where it stands."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text("utf-8"))["panels"]:
            for target in panel["targets"]:
                if "expr" in target:
                    yield f"{path.stem}: {panel['title']}", target["expr"]


def expressions() -> list[tuple[str, str]]:
    """Everything that is asked of Prometheus, with where."""
    return [*((rule["alert"], rule["expr"]) for rule in rules()), *panels()]


# -- Prometheus and Alertmanager understand it -------------------------------------------------------------------------


def test_prometheus_takes_the_configuration() -> None:
    """With its rules; every file of targets that it names is there."""
    said = promtool("check", "config", "prometheus.yml")

    assert "SUCCESS: 1 rule files found" in said
    assert "WARNING" not in said


def test_the_rules_are_understood() -> None:
    """All of them, and nothing is said against any."""
    assert f"SUCCESS: {len(alerts())} rules found" in promtool("check", "rules", "--lint=all", "alerts.yml")


def test_the_rules_do_what_they_say() -> None:
    """Each fires where it should, and does not where it should not."""
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")


def test_every_alert_is_seen_to_fire_and_not_to() -> None:
    """No rule is without its two cases."""
    document = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text("utf-8"))
    cases = [case for test in document["tests"] for case in test["promql_expr_test"]]

    for name in alerts():
        mine = [case for case in cases if f'alertname="{name}"' in case["expr"]]
        assert [case for case in mine if case["exp_samples"]], f"{name} is never seen to fire"
        assert [case for case in mine if not case["exp_samples"]], f"{name} is never seen not to fire"


def test_alertmanager_takes_its_configuration() -> None:
    """And no password stands in it: one is named that is in a file."""
    done = subprocess.run(
        [tool("amtool", "prometheus-alertmanager"), "check-config", str(ALERTMANAGER)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr


def test_there_is_no_password_in_any_configuration() -> None:
    """Neither a real one nor a default: each is a file's name."""
    files = [
        path
        for folder in ("prometheus", "alertmanager", "grafana")
        for path in (ROOT / "deploy" / folder).rglob("*.yml")
    ]
    lines = [line for path in files for line in path.read_text("utf-8").splitlines() if "password" in line.lower()]
    settings = [line.strip() for line in lines if not line.strip().startswith("#")]

    assert sorted(settings) == [
        "password: $__file{/etc/grafana/secrets/footfall_database}",
        "smtp_auth_password_file: /etc/prometheus/secrets/smtp_password",
    ]


def test_what_silences_what_names_real_alerts() -> None:
    """A rule that names an alert which was renamed would silence nothing."""
    named = set(re.findall(r"Footfall\w+", ALERTMANAGER.read_text("utf-8")))

    assert named
    assert named - set(alerts()) == set()


def test_blackbox_takes_its_configuration() -> None:
    """It has the modules that Prometheus asks for."""
    program = tool("prometheus-blackbox-exporter", "prometheus-blackbox-exporter")
    done = subprocess.run(
        [program, "--config.file", str(PROMETHEUS / "blackbox.yml"), "--config.check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    jobs = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    asked = {module for job in jobs for module in job.get("params", {}).get("module", [])}
    assert asked == set(yaml.safe_load((PROMETHEUS / "blackbox.yml").read_text("utf-8"))["modules"])


def test_the_jobs_that_alerts_name_are_jobs_of_targets() -> None:
    """An alert on a job that nobody has would never fire."""
    texts = "".join(path.read_text("utf-8") for path in (PROMETHEUS / "targets").glob("*.yml"))
    jobs = set(re.findall(r"job: (\S+)", texts))
    jobs |= {
        job["job_name"] for job in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    }
    named = {name for _, expr in expressions() for name in re.findall(r'job="([^"]+)"', expr)}

    assert {"footfall-api", "footfall-ingest", "footfall-edge", "footfall-push", "footfall-publish"} <= jobs
    assert named
    assert named - jobs == set()


# -- each alert leads somewhere ----------------------------------------------------------------------------------------


def test_every_alert_says_how_bad_it_is_in_two_languages_and_where_to_read_on() -> None:
    """What the mail has in it."""
    for rule in rules():
        told = rule["annotations"]
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}, rule["alert"]
        assert told.keys() == {"summary", "description", "summary_en", "description_en", "runbook_url"}, rule["alert"]
        assert told["runbook_url"] == f"{PUBLISHED}#{rule['alert'].lower()}"
        for german, english in (("summary", "summary_en"), ("description", "description_en")):
            values = [set(re.findall(r"{{[^}]+}}", told[text])) for text in (german, english)]
            assert values[0] == values[1], f"{rule['alert']}: the two languages do not say the same"


def test_every_alert_has_a_paragraph_and_every_paragraph_an_alert() -> None:
    """With all that it promises: what it means for the counts, what to do, and when it is over."""
    parts = re.split(r"^### (Footfall\w+)$", RUNBOOK.read_text("utf-8"), flags=re.MULTILINE)
    paragraphs = dict(zip(parts[1::2], parts[2::2], strict=True))

    assert sorted(paragraphs) == sorted(alerts())
    for name, text in paragraphs.items():
        for promised in ("**For the counts:**", "**Do:**", "**Over**"):
            assert promised in " ".join(text.split()), f"{name} lacks {promised}"


# -- what is asked for is there ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [*ROLES, "dump", "with TLS", "backup"])
def test_metrics_are_named_as_they_should_be(answered: Mapping[str, str], role: str) -> None:
    """The tool finds nothing to say: units, suffixes, a word of help."""
    assert promtool("check", "metrics", text=answered[role]).strip() == ""


@pytest.mark.parametrize("role", ROLES)
def test_every_role_says_what_it_is(answered: Mapping[str, str], role: str) -> None:
    """Its program and version."""
    assert samples_of(answered[role])["footfall_build_info"] == [({"role": role, "version": __version__}, 1)]


def test_every_metric_that_is_asked_for_is_answered_by_a_running_role(answered: Mapping[str, str]) -> None:
    """A metric that was renamed would leave an alert that never fires, and an empty panel."""
    there = set().union(*(samples_of(text) for text in answered.values()))
    asked = [(place, name) for place, expr in expressions() for name in NAME.findall(_without_labels(expr))]

    assert len({name for _, name in asked}) > 40
    assert [(place, name) for place, name in asked if name not in there | FOREIGN.keys()] == []
    assert FOREIGN.keys() - {name for _, name in asked} == set(), "nobody asks for these any more"
    assert there & FOREIGN.keys() == set()


def test_every_label_that_is_asked_for_is_there(answered: Mapping[str, str]) -> None:
    """A label that was renamed would match nothing."""
    labels: dict[str, set[str]] = {}
    for text in answered.values():
        for name, found in samples_of(text).items():
            labels.setdefault(name, set()).update(*(names for names, _ in found))
    asked = [
        (place, name, label)
        for place, expr in expressions()
        for name, inside in SELECTOR.findall(expr)
        for label in re.findall(r"(\w+)\s*[=!]~?", inside)
    ]

    assert asked
    assert [each for each in asked if each[2] not in labels[each[1]] | FROM_TARGETS] == []


def _without_labels(expr: str) -> str:
    """An expression without what stands in braces, in quotes, and after by, on and their like."""
    expr = re.sub(r'"[^"]*"', "", re.sub(r"\{[^}]*\}", "", expr))
    return re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", expr)


def test_the_questions_of_the_dashboards_are_understood(tmp_path: Path) -> None:
    """By Prometheus: each is put to it as a rule."""
    recorded = [{"record": f"panel:{number}", "expr": expr} for number, (_, expr) in enumerate(panels())]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))

    assert len(recorded) > 30
    assert f"SUCCESS: {len(recorded)} rules found" in promtool("check", "rules", "--lint=none", str(file))


# -- what the roles say is so ------------------------------------------------------------------------------------------


def test_the_operator_is_told_what_the_database_says(running: Running) -> None:
    """Boxes, sensors, stations, quarantine, and how fresh all that is."""
    assert running.value("api", "footfall_state_read_failed") == 0
    assert running.value("api", "footfall_node_online", node="sued") == 0
    wait_until(
        lambda: running.value("api", "footfall_node_online", node=NODE) == 1,
        timeout=60,
        what="the box to be told",
        every=1,
    )
    assert running.value("api", "footfall_node_info", node=NODE, version=__version__) == 1
    assert running.value("api", "footfall_node_sensors", node=NODE) == 1
    assert running.value("api", "footfall_quarantine_open_messages", node=NODE, reason="unreadable") == 1
    assert (
        running.value("api", "footfall_sensor_state", sensor=f"{HELD_BACK}-1", station=HELD_BACK, state="silent") == 1
    )
    assert 0.7 < (running.value("api", "footfall_station_coverage_ratio", station=HELD_BACK) or 0) < 0.8
    assert running.value("api", "footfall_station_local_hour", station=STATION) in range(24)


def test_what_is_the_operators_is_not_on_the_port_for_everybody(running: Running) -> None:
    """Nothing of boxes, stations and the database; nor how well is measured what is held back."""
    public = samples_of(running.text("public"))

    assert [
        name
        for name in public
        if re.match(r"footfall_(node|sensor|station|quarantine|state|newest|hourly|build)", name)
    ] == []
    assert [name for name in public if name.startswith("footfall_database_server")] == []
    for word in (NODE, "sued", HELD_BACK, SENSOR, __version__):
        assert f'"{word}' not in running.text("public")


def test_an_edge_says_whether_it_knows_the_time(running: Running) -> None:
    """It stamps; and what its kernel says, if that says anything."""
    assert running.value("edge", "footfall_edge_clock_trusted") == 1
    synchronised = running.value("edge", "footfall_edge_clock_synchronised")
    assert synchronised is not None
    assert synchronised in (0, 1) or math.isnan(synchronised)


@pytest.mark.timeout(300)
def test_push_and_publish_say_what_they_do(running: Running) -> None:
    """Rounds go on, and what was sent is counted."""
    before = running.value("push", "footfall_push_rounds_total", outcome="done") or 0
    wait_until(
        lambda: (
            (running.value("push", "footfall_push_entities_total", outcome="sent") or 0) >= 1
            and (running.value("publish", "footfall_publish_messages_total") or 0) >= 1
        ),
        timeout=150,
        what="an interval to be sent by both: one that was not measured whole goes a minute and a half after its end",
        every=0.2,
    )
    assert running.value("push", "footfall_push_entities_total", outcome="refused") == 0
    assert running.value("publish", "footfall_publish_connected") == 1
    assert (running.value("publish", "footfall_publish_rounds_total", outcome="unreachable") or 0) <= 1
    wait_until(
        lambda: (running.value("push", "footfall_push_rounds_total", outcome="done") or 0) > before,
        what="another round",
    )


def test_the_dump_leaves_when_it_ran(running: Running) -> None:
    """For node_exporter, which another account runs."""
    said = samples_of(running.text("dump"))

    assert said["footfall_dump_last_run_success"] == [({}, 1)]
    assert (
        said["footfall_dump_last_success_timestamp_seconds"][0][1]
        >= said["footfall_dump_last_run_timestamp_seconds"][0][1]
    )
    assert stat.S_IMODE(running.textfile.stat().st_mode) == 0o644


# -- logs --------------------------------------------------------------------------------------------------------------


def test_one_report_can_be_followed_through_all_logs(running: Running) -> None:
    """Sent by the box, stored by the aggregator, known to be stored by the box: by the same four keys in each line."""

    def told_stored() -> list[dict[str, Any]]:
        return [line for line in lines_of_json(running.log("edge")) if line["message"] == "stored, says ingest"]

    wait_until(told_stored, timeout=30, what="a report to be known as stored", every=0.2)
    last = told_stored()[0]
    thread = {key: last[key] for key in ("node", "sensor", "stream", "seq")}
    assert (thread["node"], thread["sensor"]) == (NODE, SENSOR)

    edge = [line["message"] for line in lines_of_json(running.log("edge")) if thread.items() <= line.items()]
    assert (edge[0], edge[-1]) == ("sent", "stored, says ingest")
    named = f"node={NODE} sensor={SENSOR} stream={thread['stream']} seq={thread['seq']}"
    (stored,) = [line for line in running.log("ingest").splitlines() if line.endswith(named)]
    assert "DEBUG footfall_ingest.flush stored" in stored


def test_every_line_of_a_box_is_an_object_and_names_the_box(running: Running) -> None:
    """As `log_format = "json"` promises: also the lines of libraries."""
    lines = list(lines_of_json(running.log("edge")))

    assert len(lines) > 10
    assert {line["node"] for line in lines} == {NODE}
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in lines))


def test_no_log_has_a_secret_in_it(running: Running) -> None:
    """Passwords of broker and database, tokens: at DEBUG, of every role, and nor has what Prometheus is told."""
    texts = {name: running.log(name) for name in (*ROLES, "dump")} | {
        f"metrics of {role}": running.text(role) for role in ROLES
    }

    assert all(texts.values())
    found = [
        (name, which) for name, text in texts.items() for which, secret in running.secrets.items() if secret in text
    ]
    assert found == []


def test_nor_has_a_log_of_what_cannot_connect(tmp_path: Path) -> None:
    """Where broker and database are away, and where the address of the database cannot be read."""
    away = f'port = {free_port()}\npassword = "{SECRETS["mqtt"]}"\n'
    dsn = f"postgresql://ingest:{SECRETS['database']}@127.0.0.1:{free_port()}/footfall"
    broken = f"postgresql://ingest:{SECRETS['database']} x@127.0.0.1/footfall"
    config = tmp_path / "role.toml"
    cases = [
        ("footfall_ingest", f'log_level = "DEBUG"\n[mqtt]\n{away}[database]\ndsn = "{dsn}"\n', "does not answer"),
        ("footfall_api", f'log_level = "DEBUG"\n[http]\nport = 0\n[database]\ndsn = "{dsn}"\n', "error connecting"),
        ("footfall_ingest", f'[database]\ndsn = "{broken}"\n', "must be like postgresql://"),
        ("footfall_api", f'[database]\ndsn = "{broken}"\n', "must be like postgresql://"),
    ]
    for number, (module, text, expected) in enumerate(cases):
        log = tmp_path / f"{number}.log"
        config.write_text(text)
        with Program([sys.executable, "-m", module, "--config", str(config)], log):
            wait_until(lambda log=log, expected=expected: expected in log.read_text(), timeout=60, what=expected)  # type: ignore[misc]
        assert [which for which, secret in SECRETS.items() if secret in log.read_text()] == []
