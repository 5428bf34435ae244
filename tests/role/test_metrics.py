"""What every role tells Prometheus, where, and the file for what does not run all the time."""

import math
import subprocess
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from footfall_demo.ports import free_port
from footfall_role import metrics
from footfall_role.settings import MetricsSettings, MqttSettings
from footfall_testing.certificates import made, said_by_openssl


def counting() -> CollectorRegistry:
    """A registry with something in it."""
    registry = CollectorRegistry()
    Counter("footfall_test_things", "Things.", registry=registry).inc(3)
    return registry


def test_the_port_says_what_the_role_counts_and_which_program_it_is() -> None:
    """Several registries are one page."""
    port = free_port()
    metrics.serve(MetricsSettings(port=port), "edge", "1.2.3", of=[counting()])

    families = {
        family.name: family
        for family in text_string_to_metric_families(httpx.get(f"http://127.0.0.1:{port}/metrics").text)
    }

    assert families["footfall_test_things"].samples[0].value == 3
    (build,) = families["footfall_build_info"].samples
    assert (build.labels, build.value) == ({"role": "edge", "version": "1.2.3"}, 1)


def test_without_a_port_nobody_listens_and_a_taken_one_is_a_sentence() -> None:
    """The sentence names the setting."""
    metrics.serve(MetricsSettings(), "edge", "1", of=[counting()])
    port = free_port()
    metrics.serve(MetricsSettings(port=port), "edge", "1", of=[counting()])

    with pytest.raises(OSError, match=rf"127.0.0.1:{port}.*set \[metrics\] port to a free one"):
        metrics.serve(MetricsSettings(port=port), "edge", "1", of=[counting()])


def ends(registry: CollectorRegistry) -> dict[str, float]:
    """When the certificates end, by what they are."""
    return {
        sample.labels["certificate"]: sample.value
        for family in registry.collect()
        if family.name == "footfall_mqtt_certificate_end_timestamp_seconds"
        for sample in family.samples
    }


def test_the_ends_of_certificates_are_told_as_they_are_now(tmp_path: Path) -> None:
    """A renewed one shows at once; one that cannot be read has no end; without TLS nothing is told."""
    authority, client = made(tmp_path, "ca", 30), made(tmp_path, "client", 10)
    mqtt = MqttSettings(tls=True, ca_file=authority, cert_file=client, key_file=tmp_path / "client.key")
    registry = metrics.exposed("edge", "1", of=[], mqtt=mqtt)
    assert ends(registry) == {"authority": said_by_openssl(authority), "client": said_by_openssl(client)}

    made(tmp_path, "client", 90)
    assert ends(registry)["client"] == said_by_openssl(client) > said_by_openssl(authority)
    client.write_text("torn")
    assert math.isnan(ends(registry)["client"])
    assert ends(metrics.exposed("edge", "1", of=[], mqtt=MqttSettings(ca_file=authority))) == {}


def test_a_textfile_is_whole_and_readable(tmp_path: Path) -> None:
    """Another account reads it, whatever the mask is; nothing else is left in the folder, also not by a failure."""
    path = tmp_path / "footfall.prom"
    subprocess.run(["chmod", "0755", str(tmp_path)], check=True)
    metrics.write_textfile(path, counting())

    assert "footfall_test_things_total 3.0" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o644
    path.unlink()
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        metrics.write_textfile(path, counting())
    assert [found.name for found in tmp_path.iterdir()] == ["footfall.prom"]
