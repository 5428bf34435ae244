"""What a box takes over from its card: settings and secrets, once; and what it says where it does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "firstboot"

SETTINGS = """\
node = "jena-nord"
[mqtt]
host = "broker.example"
tls = true
[outbox]
path = "/var/lib/footfall-edge/outbox.sqlite"
[[sensor]]
id = "markt-1"
driver = "reference"
port = "/dev/footfall/markt-1"
"""


class Box:
    """A folder that stands for the file system of a box, with the real program in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.boot = root / "boot" / "firmware"
        self.etc = root / "etc" / "footfall"
        self.boot.mkdir(parents=True)
        (root / "etc").mkdir()
        (root / "etc" / "group").write_text("root:x:0:\nfootfall-edge:x:4242:\n")
        program = root / "opt" / "footfall" / "current" / "bin" / "footfall-edge"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m footfall_edge "$@"\n')
        program.chmod(0o755)

    def start(self) -> subprocess.CompletedProcess[str]:
        """What the box does when it starts."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith("FOOTFALL_")}
        return subprocess.run([SCRIPT, self.root], env=clean, capture_output=True, text=True, check=False, timeout=60)

    def on_the_card(self) -> list[str]:
        """Which files are on the boot partition."""
        return sorted(file.name for file in self.boot.iterdir())

    @property
    def report(self) -> str:
        """What it says on the card."""
        return (self.boot / "footfall-firstboot.txt").read_bytes().decode().replace("\r\n", "\n")


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A box that has never been set up."""
    if not shutil.which("sh"):
        pytest.skip("there is no shell")
    return Box(tmp_path)


def mode(path: Path) -> int:
    """The permissions of a file."""
    return path.stat().st_mode & 0o7777


def test_settings_and_secrets_are_taken_over_and_leave_the_card(box: Box) -> None:
    """Also as Windows' editor writes them. Secrets are root's alone; what was there before is kept."""
    (box.boot / "footfall.toml").write_bytes(b"\xef\xbb\xbf" + SETTINGS.replace("\n", "\r\n").encode())
    (box.boot / "footfall-password.txt").write_bytes("\ufeffgrüne Ampel 7 \r\n".encode())
    (box.boot / "footfall-ca.crt").write_text("CERTIFICATE\n")
    (box.boot / "config.txt").write_text("dtparam=watchdog=on\n")
    box.etc.mkdir()
    (box.etc / "edge.toml").write_text("# before\n")

    done = box.start()

    assert done.returncode == 0, done.stdout + done.stderr
    assert (box.etc / "edge.toml").read_text() == SETTINGS
    assert (box.etc / "edge.toml.before").read_text() == "# before\n"
    assert (box.etc / "secrets" / "mqtt-password").read_text() == "grüne Ampel 7 "
    assert (box.etc / "ca.crt").read_text() == "CERTIFICATE\n"
    assert box.on_the_card() == ["config.txt", "footfall-firstboot.txt"]
    assert "Taken over: footfall.toml, footfall-password.txt, footfall-ca.crt" in box.report
    assert "Ampel" not in box.report + done.stdout + done.stderr
    assert mode(box.etc / "secrets") == 0o700
    assert mode(box.etc / "secrets" / "mqtt-password") == 0o600
    assert mode(box.etc / "edge.toml") == 0o640
    if os.geteuid() == 0:
        assert (box.etc / "edge.toml").stat().st_gid == 4242
    assert sorted(file.name for file in box.etc.iterdir()) == ["ca.crt", "edge.toml", "edge.toml.before", "secrets"]


def test_the_key_of_a_certificate_is_a_secret_too(box: Box) -> None:
    """It goes where the unit looks for it; the certificate itself is for everybody."""
    (box.boot / "footfall.toml").write_text(SETTINGS)
    (box.boot / "footfall-client.key").write_text("KEY\n")
    (box.boot / "footfall-client.crt").write_text("CERTIFICATE\n")

    assert box.start().returncode == 0

    assert (box.etc / "secrets" / "mqtt-key").read_text() == "KEY\n"
    assert mode(box.etc / "secrets" / "mqtt-key") == 0o600
    assert (box.etc / "mqtt.crt").read_text() == "CERTIFICATE\n"
    assert box.on_the_card() == ["footfall-firstboot.txt"]


def test_it_is_done_once(box: Box) -> None:
    """The next start finds nothing and changes nothing. The partition may also be where older systems have it."""
    older = box.root / "boot" / "footfall.toml"
    older.write_text(SETTINGS)
    (box.root / "boot" / "footfall-password.txt").write_text("one\n")
    (box.etc / ".firstboot-abcdef").mkdir(parents=True)
    assert box.start().returncode == 0
    assert not (box.etc / ".firstboot-abcdef").exists(), "what an attempt left that was cut short holds the password"
    (box.etc / "edge.toml").write_text("# changed by hand\n")

    again = box.start()

    assert again.returncode == 0
    assert "nothing is done" in again.stdout
    assert (box.etc / "edge.toml").read_text() == "# changed by hand\n"
    assert not older.exists()


@pytest.mark.parametrize(
    ("settings", "password", "sentence"),
    [
        (SETTINGS.replace("jena-nord", "Jena Nord"), "one", "node"),
        (SETTINGS.replace("node", "nodde"), "one", "nodde is not a setting"),
        ("node = jena", "one", "footfall.toml: not valid TOML"),
        (SETTINGS.replace("tls = true", 'tls = true\npassword = "geheim"'), "one", "footfall.toml holds a password"),
        (SETTINGS, "\r\n", "footfall-password.txt has an empty first line"),
    ],
)
def test_what_cannot_be_used_stays_on_the_card_with_the_reason(
    box: Box, settings: str, password: str, sentence: str
) -> None:
    """In a file beside it that any computer can read; the box keeps the settings that it had."""
    (box.boot / "footfall.toml").write_text(settings)
    (box.boot / "footfall-password.txt").write_text(password)
    box.etc.mkdir()
    (box.etc / "edge.toml").write_text("# before\n")

    done = box.start()

    assert done.returncode == 1
    assert sentence in box.report
    assert "NOT taken over" in box.report
    assert "geheim" not in box.report + done.stdout + done.stderr
    assert str(box.root) not in box.report
    assert box.on_the_card() == ["footfall-firstboot.txt", "footfall-password.txt", "footfall.toml"]
    assert (box.etc / "edge.toml").read_text() == "# before\n"
    assert list((box.etc / "secrets").iterdir()) == []
    assert sorted(file.name for file in box.etc.iterdir()) == ["edge.toml", "secrets"]


def test_a_password_that_is_still_missing_is_said(box: Box) -> None:
    """The settings are taken over all the same; without a password the service would not start."""
    (box.boot / "footfall.toml").write_text(SETTINGS)

    assert box.start().returncode == 0
    assert "There is no password yet" in box.report


@pytest.mark.parametrize("times", range(1, 8))
def test_a_power_cut_in_between_is_made_up_for(box: Box, times: int) -> None:
    """Cut off at whatever file is put into its place, the next start brings it to the same end."""
    (box.boot / "footfall.toml").write_text(SETTINGS)
    (box.boot / "footfall-password.txt").write_text("one\n")
    (box.boot / "footfall-ca.crt").write_text("CERTIFICATE\n")
    tools = box.root / "tools"
    tools.mkdir()
    counter = box.root / "count"
    for tool in ("mv", "rm"):
        real = shutil.which(tool)
        # The script is ended by the one of its steps whose turn it is, as if the power had gone.
        (tools / tool).write_text(
            f'#!/bin/sh\necho >>"{counter}"\n[ "$(wc -l <"{counter}")" != {times} ] || kill -9 "$PPID"\n'
            f'exec "{real}" "$@"\n'
        )
        (tools / tool).chmod(0o755)
    subprocess.run(
        [SCRIPT, box.root],
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        capture_output=True,
        check=False,
        timeout=60,
    )

    box.start()

    assert (box.etc / "edge.toml").read_text() == SETTINGS
    assert (box.etc / "secrets" / "mqtt-password").read_text() == "one"
    assert (box.etc / "ca.crt").read_text() == "CERTIFICATE\n"
    assert box.on_the_card() == ["footfall-firstboot.txt"]
