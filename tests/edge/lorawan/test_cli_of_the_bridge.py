"""The command line of the bridge as people use it."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from footfall_edge.__main__ import main
from footfall_edge.outbox import Entry, Outbox
from footfall_edge.slots import Piece

NOON = 1_764_072_000


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The command line sends logs where it likes; the next test finds them where they were."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A bridge.toml whose brokers are nowhere."""
    file = tmp_path / "bridge.toml"
    file.write_text(
        f'node = "lorawan-1"\nclock = "system"\n[mqtt]\nport = 1\n[outbox]\npath = "{tmp_path}/outbox.sqlite"\n'
        '[network]\nkind = "chirpstack"\nport = 1\n'
        '[[device]]\nid = "markt-1"\ndev_eui = "0004a30b001c0530"\nmake = "parametric-pcr2"\n'
    )
    return file


@pytest.mark.parametrize("before", [True, False])
def test_print_config_shows_what_is_in_force(config: Path, capsys: pytest.CaptureFixture[str], before: bool) -> None:
    """The settings of the bridge, wherever --config stands; nothing is opened."""
    given = ["--config", str(config)]
    assert main([*given, "bridge", "--print-config"] if before else ["bridge", *given, "--print-config"]) == 0
    assert 'kind = "chirpstack"' in capsys.readouterr().out
    assert not (config.parent / "outbox.sqlite").exists()


def test_a_wrong_configuration_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No settings, or those of an edge: said on standard error. The status says that it is for ever."""
    assert main(["bridge"]) == 78
    assert "the environment: network is missing" in capsys.readouterr().err
    edge = tmp_path / "edge.toml"
    edge.write_text('node = "box-1"\n[outbox]\npath = "x"\n[[sensor]]\nid = "a"\ndriver = "reference"\nport = "b"\n')
    assert main(["bridge", "--config", str(edge)]) == 78
    assert "network is missing" in capsys.readouterr().err


def test_the_outbox_of_a_bridge_is_looked_into(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`outbox` takes a bridge.toml as it takes an edge.toml, also to decide on what is on hold."""
    with Outbox.open(config.parent / "outbox.sqlite") as outbox:
        outbox.book([Entry("markt-1", (Piece(NOON, 600, 600_000, ((0, 0, 2),)),), None)])

    assert main(["outbox", "--config", str(config)]) == 0
    assert "markt-1: slots 1" in capsys.readouterr().out
    assert main(["outbox", "adopt", "--config", str(config)]) == 0
    assert "0 slots with 0 passages" in capsys.readouterr().out


def test_decode_says_what_a_payload_means(capsys: pytest.CaptureFixture[str]) -> None:
    """The example of the PCR2's documents, with and without spaces; and a line of a device with four."""
    pcr2 = "be 01 04 0001 0002 0003 0004 1c20 0ce4 0139"
    for payload in ([pcr2], pcr2.split(), [pcr2.replace(" ", "")]):
        assert main(["bridge", "decode", "--make", "parametric-pcr2", "--port", "14", *payload]) == 0
        assert capsys.readouterr().out.splitlines() == [
            "totals (16 bits): in 3, out 4",
            "since the last: in 1, out 2",
            "supply: 7200 mV",
            "temperature: 31.3 °C",
        ]
    tof = ["ff0bff", "fe5101", "ff0a0102", "0cd2b4140000", "0dd28d1a0000", "7777"]
    assert main(["bridge", "decode", "--make", "milesight-vs133", "--port", "85", "--line", "4", *tof]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "totals (32 bits): in 5300, out 6797",
        "firmware: 1.2",
        "it was started",
        "totals set to 0",
        "remark: not decoded from byte 22 on: 77 77 and 0 bytes, a channel and type not known",
    ]
    assert main(["bridge", "decode", "--make", "milesight-vs360", "--port", "85", "01 75 09 03f4 0201"]) == 0
    assert capsys.readouterr().out.splitlines() == ["battery: 9 %", "trouble: the halves are not aligned"]
    assert main(["bridge", "decode", "--make", "milesight-vs360", "--port", "85", "03f4 0200"]) == 0
    assert capsys.readouterr().out.splitlines() == ["no longer: the halves are not aligned"]
    assert main(["bridge", "decode", "--make", "milesight-vs132", "--port", "85", ""]) == 0
    assert capsys.readouterr().out == "nothing\n"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--port", "3", "be01"], "FPort 3; a PCR2 counts on FPort 14 and tells its settings on 190"),
        (["--port", "14", "0g"], "'0g' is not hexadecimal"),
        (["--port", "14", "--line", "2", "be01"], "--line 2; parametric-pcr2 has lines 1 to 1"),
    ],
)
def test_what_cannot_be_decoded_is_said(options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence on standard error, with status 1 and no traceback."""
    assert main(["bridge", "decode", "--make", "parametric-pcr2", *options]) == 1
    assert sentence in capsys.readouterr().err
