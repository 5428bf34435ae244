"""The fingerprint of a computer: the same with each start, another on each computer, none where there is nothing."""

from pathlib import Path

from footfall_edge.machine import fingerprint

SERIAL = "proc/device-tree/serial-number"
UUID = "sys/class/dmi/id/product_uuid"


def write(root: Path, place: str, text: str) -> None:
    """Give the computer at `root` a file."""
    (root / place).parent.mkdir(parents=True, exist_ok=True)
    (root / place).write_text(text)


def interface(root: Path, name: str, address: str, *, physical: bool) -> None:
    """Give it a network interface."""
    write(root, f"sys/class/net/{name}/address", address + "\n")
    if physical:
        (root / f"sys/class/net/{name}/device").mkdir()


def test_the_serial_number_of_a_raspberry_pi_comes_first(tmp_path: Path) -> None:
    """Not the UUID or an address beside it; and of the number only a hash is kept."""
    write(tmp_path, SERIAL, "00000000a1b2c3d4\0")
    alone = fingerprint(tmp_path)
    write(tmp_path, UUID, "4C4C4544-0042-3510-8051-B4C04F4A3632\n")
    interface(tmp_path, "eth0", "b8:27:eb:01:02:03", physical=True)

    assert alone is not None
    assert len(alone) == 16
    assert fingerprint(tmp_path) == alone
    assert "a1b2c3d4" not in alone
    write(tmp_path, SERIAL, "00000000a1b2c3d5\0")
    assert fingerprint(tmp_path) not in (None, alone)


def test_then_the_uuid_of_the_board(tmp_path: Path) -> None:
    """Upper or lower case, and not what a maker wrote on every board."""
    interface(tmp_path, "eth0", "b8:27:eb:01:02:03", physical=True)
    by_address = fingerprint(tmp_path)
    write(tmp_path, UUID, "4C4C4544-0042-3510-8051-B4C04F4A3632\n")
    by_uuid = fingerprint(tmp_path)

    assert by_uuid not in (None, by_address)
    write(tmp_path, UUID, "4c4c4544-0042-3510-8051-b4c04f4a3632\n")
    assert fingerprint(tmp_path) == by_uuid
    for text in ("", "Default string", "To Be Filled By O.E.M.", "00000000-0000-0000-0000-000000000000", "None"):
        write(tmp_path, UUID, text + "\n")
        assert fingerprint(tmp_path) == by_address


def test_then_the_address_of_the_first_interface_that_is_hardware(tmp_path: Path) -> None:
    """In the order of their names; a bridge or a container's end of a cable is none."""
    interface(tmp_path, "eth1", "b8:27:eb:01:02:03", physical=True)
    alone = fingerprint(tmp_path)
    interface(tmp_path, "br-0", "02:42:00:00:00:01", physical=False)
    interface(tmp_path, "eth0", "00:00:00:00:00:00", physical=True)
    interface(tmp_path, "wlan0", "b8:27:eb:01:02:04", physical=True)

    assert alone is not None
    assert fingerprint(tmp_path) == alone
    interface(tmp_path, "enp1s0", "b8:27:eb:01:02:05", physical=True)
    assert fingerprint(tmp_path) not in (None, alone)


def test_a_computer_without_marks_has_none(tmp_path: Path) -> None:
    """As a container: there nothing is compared."""
    interface(tmp_path, "eth0", "02:42:ac:11:00:02", physical=False)

    assert fingerprint(tmp_path) is None
    assert fingerprint(tmp_path / "nothing") is None
