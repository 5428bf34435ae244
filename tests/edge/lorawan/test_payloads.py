"""Payloads of counters to readings: vectors of the makers' documents, and some worked out by hand from their tables."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from footfall_edge.lorawan.payloads import Make, decode, lines_of
from footfall_edge.lorawan.reading import PayloadError, Reading

IN, OUT = 0, 1
TOF = [Make.VS132, Make.VS133, Make.VS135]
BEAM = [Make.VS350, Make.VS360]
PORT = {Make.PCR2: 14, Make.IMBUILDINGS: 1}
"""FPort of counts; of all others 85."""

VS133_TOTALS = "03D248000000 04D2C8000000 06D200000000 07D200000000 09D200000000 0AD200000000 0CD2B4140000 0DD28D1A0000"
VS133_PERIODS = "05CC00000000 08CC00000000 0BCC00000000 0ECC05000700"
VS132_WHOLE = "FF0101 FF166614C39694870000 FF090102 FF1F84010001 03D2BE000000 04D231010000 05CC00000000"
VS360_WHOLE = "017564 027537 0AEF7B3AF164 04CC12001600 05CC13001400 03F40201"
VS121_WHOLE = "0F857B3AF164 04C9030800A1 06CD05 05CC02000100 0DCC39300300"

WHOLE = {
    Make.PCR2: "be010400010002000300041c200ce40139",
    Make.VS132: VS132_WHOLE,
    Make.VS133: VS133_TOTALS + VS133_PERIODS,
    Make.VS135: VS133_PERIODS + VS133_TOTALS,
    Make.VS350: "03670C01" + VS360_WHOLE,
    Make.VS360: VS360_WHOLE,
    Make.VS121: VS121_WHOLE,
    Make.IMBUILDINGS: "0206 0004a30b00f0d40e 00 0100 0000 0000 20 000d 000a 6a",
}
"""One payload of each make with all that it counts."""


def read(make: Make, payload: str, *, port: int | None = None, line: int = 1) -> Reading:
    """The reading of a payload written in hexadecimal."""
    return decode(make, PORT.get(make, 85) if port is None else port, bytes.fromhex(payload), line=line)


def both(first: int, second: int) -> tuple[tuple[int, int, int], ...]:
    """In and out of pedestrians."""
    return ((IN, 0, first), (OUT, 0, second))


# Parametric PCR2


def test_pcr2_version_4() -> None:
    """The example of the documents: counts since the last uplink, sums, millivolts, degrees."""
    assert read(Make.PCR2, "be010400010002000300041c200ce40139") == Reading(
        totals=both(3, 4), width_bits=16, increments=both(1, 2), supply_mv=7200, temperature=31.3
    )


def test_pcr2_version_3() -> None:
    """The example of the documents: the battery is in percent, of one byte."""
    assert read(Make.PCR2, "be 01 03 00 00 00 00 00 01 00 00 64 0c e4 01 39") == Reading(
        totals=both(1, 0), width_bits=16, increments=both(0, 0), battery_percent=100, temperature=31.3
    )


def test_pcr2_version_3_is_colder_than_0() -> None:
    """The temperature has a sign."""
    assert read(Make.PCR2, "be0103 0000 0000 0001 0000 64 0ce4 ff9c").temperature == -10.0


def test_a_reading_counts_with_totals_or_increments() -> None:
    """One of the two is enough; a temperature alone is not."""
    assert read(Make.PCR2, "0a0007").counts
    assert read(Make.IMBUILDINGS, "20 000d 000a", port=27).counts
    assert not read(Make.VS350, "03670C01").counts


def test_pcr2_left_to_right_is_in() -> None:
    """LTR is direction 0 in every format, whatever comes first, and sums are as high as 16 bits go."""
    assert read(Make.PCR2, "be0104 0100 0000 ffff fffe 0000 0000 ff9c") == Reading(
        totals=both(65535, 65534), increments=both(256, 0), supply_mv=0, temperature=-10.0
    )
    assert read(Make.PCR2, "0a0102 16fffe 01ff9c") == Reading(increments=both(258, 65534), temperature=-10.0)
    assert read(Make.PCR2, "0a0007").increments == ((IN, 0, 7),)
    assert read(Make.PCR2, "0a0007 01 00fa 16 0009").increments == both(7, 9)


def test_pcr2_cayenne() -> None:
    """Three channels with one byte each for the counts; 255 may be more, which is said."""
    assert read(Make.PCR2, "006607 016602 026700fa") == Reading(increments=both(7, 2), temperature=25.0)
    assert read(Make.PCR2, "0066fe 0166fe 026700fa").remarks == ()
    for full in ("0066ff 016602 0267ff9c", "006602 0166ff 0267ff9c"):
        reading = read(Make.PCR2, full)
        assert reading.temperature == -10.0
        assert "255 is the most" in reading.remarks[0]


@pytest.mark.parametrize(
    ("payload", "firmware"),
    [
        ("be0105 01 030a00 00 02 00 01 000a 05a0 0000 0000 0078 01 28 0032 00c8 01 07 00 3c 040101", "3.10.0"),
        ("be0106 01 030b02 00 02 00 01 000a 05a0 0000 0000 0078 01 28 0032 00c8 01 07 00 3c 040101 01", "3.11.2"),
        ("be0104 01 030600 00 02 00 01 000a 05a0 0000 0000 0078 01 02 28 0032 00c8 01 07 3c", "3.6.0"),
        ("be0103 01 030400 00 02 00 01 000a 05a0 0000 0000 3c", "3.4.0"),
        ("01 030002 00 00 01 000a 05a0 0000 3c", "3.0.2"),
    ],
)
def test_pcr2_configuration_is_no_count(payload: str, firmware: str) -> None:
    """On FPort 190 the device tells its settings, which look like counts if the port is not minded."""
    assert read(Make.PCR2, payload, port=190) == Reading(firmware=firmware)


def test_pcr2_configuration_of_unknown_length() -> None:
    """A later version of the settings is no fault and no count."""
    reading = read(Make.PCR2, "be0107" + "00" * 40, port=190)

    assert not reading.counts
    assert "configuration of 43 bytes" in reading.remarks[0]


@pytest.mark.parametrize(
    ("port", "payload", "says"),
    [
        (14, "be010400010002000300041c200ce401", "16 bytes; version 4 has 17"),
        (14, "be010400010002000300041c200ce4013900", "18 bytes; version 4 has 17"),
        (14, "be0103000000000001000064 0ce4013900", "17 bytes; version 3 has 16"),
        (14, "be010500010002000300041c200ce40139", "versions 3 and 4"),
        (14, "be01", "versions 3 and 4"),
        (14, "be02", "is it a PCR2"),
        (14, "16 0001 0a 0002", "is it a PCR2"),
        (14, "0a 00", "two bytes after it"),
        (14, "006607 016602 0267", "has 10"),
        (14, "006607 016602 026700fa 00", "has 10"),
        (14, "006607 016602 036700fa", "channels 00 66, 01 66 and 02 67"),
        (14, "006607 026602 026700fa", "channels 00 66, 01 66 and 02 67"),
        (85, "be010400010002000300041c200ce40139", "FPort 85"),
        (1, "0a 0001 16 0002", "FPort 1;"),
    ],
)
def test_pcr2_what_it_does_not_send(port: int, payload: str, says: str) -> None:
    """Other lengths, versions and ports are refused, and the error says what was expected."""
    with pytest.raises(PayloadError, match=says):
        read(Make.PCR2, payload, port=port)


def test_pcr2_elsys_keeps_what_it_decoded() -> None:
    """An unknown tag ends it with a remark; so does a value that is cut short."""
    for tail in ("0c 0005 16 0009", "16 00"):
        reading = read(Make.PCR2, "0a0007" + tail)

        assert reading.increments == ((IN, 0, 7),)
        assert "from byte 3 on" in reading.remarks[0]


# Milesight


def test_vs132() -> None:
    """The example of the maker, with what the device says of itself before."""
    assert read(Make.VS132, VS132_WHOLE) == Reading(
        totals=both(190, 305), width_bits=32, increments=both(0, 0), firmware="132.1.0.1"
    )


def test_vs132_totals_are_32_bits_wide() -> None:
    """Little endian, all four bytes; those of the period have two."""
    reading = read(Make.VS132, "03D2FFFFFFFF 04D204030201 05CC02010403")

    assert reading == Reading(totals=both(2**32 - 1, 0x01020304), width_bits=32, increments=both(0x0102, 0x0304))


@pytest.mark.parametrize("make", [Make.VS133, Make.VS135])
@pytest.mark.parametrize(
    ("line", "totals", "increments"),
    [(1, both(72, 200), both(0, 0)), (2, both(0, 0), both(0, 0)), (4, both(5300, 6797), both(5, 7))],
)
def test_vs133_counts_at_the_line_that_is_set(
    make: Make, line: int, totals: tuple[tuple[int, int, int], ...], increments: tuple[tuple[int, int, int], ...]
) -> None:
    """The examples of the maker: four lines, totals and periods in one uplink or in two."""
    assert read(make, VS133_TOTALS, line=line) == Reading(totals=totals, width_bits=32)
    assert read(make, VS133_PERIODS, line=line) == Reading(increments=increments, width_bits=32)
    assert read(make, VS133_PERIODS + VS133_TOTALS, line=line) == Reading(
        totals=totals, increments=increments, width_bits=32
    )


def test_vs133_every_line_has_its_channels() -> None:
    """Each line's totals and period are its own: no number of one is seen at another."""
    totals = "".join(f"{channel:02x}d2{channel:02x}000000" for channel in (3, 4, 6, 7, 9, 10, 12, 13))
    periods = "".join(f"{channel:02x}cc{channel:02x}00{channel + 100:02x}00" for channel in (5, 8, 11, 14))
    for line, channel in ((1, 3), (2, 6), (3, 9), (4, 12)):
        reading = read(Make.VS133, totals + periods, line=line)

        assert reading.totals == both(channel, channel + 1)
        assert reading.increments == both(channel + 2, channel + 102)


def test_vs133_the_wrong_line_is_said() -> None:
    """Where the line that is set has no total and others have, that is the likely reason; where it has, nothing is."""
    reading = read(Make.VS133, "06D201000000 0DD202000000", line=1)

    assert not reading.counts
    assert reading.remarks == ("no totals of line 1, but of line 2, 4: is it the right line?",)
    assert read(Make.VS133, "06D201000000 0DD202000000", line=2).totals == ((IN, 0, 1),)
    assert read(Make.VS133, "06D201000000 0DD202000000", line=2).remarks == ()


def test_vs133_children_are_in_the_line_and_not_on_top() -> None:
    """Totals and periods of children are skipped, and what comes after them is read."""
    children = (
        "11D207000000 12D208000000 13CC01000200 14D207000000 15D208000000 16CC01000200 17D207000000 18D208000000"
        "19CC01000200 1AD207000000 1BD208000000 1CCC01000200 1DE301020304 1EE40101000200"
    )
    reading = read(Make.VS133, children + VS133_TOTALS)

    assert reading == Reading(totals=both(72, 200), width_bits=32)


def test_vs133_other_channels_are_skipped_by_their_length() -> None:
    """People in regions and dwell times count nobody, and nothing after them is lost."""
    regions = "0FE302100709 10E40109101121 10E40275217533 10E40381212389 10E40476001387"

    assert read(Make.VS133, regions + VS133_TOTALS) == Reading(totals=both(72, 200), width_bits=32)


def test_vs133_a_covered_lens_is_trouble() -> None:
    """The alarm and its end, of the device itself and of a node beside it."""
    assert read(Make.VS133, "50FC000001 50FC000200").troubles == (
        ("the lens of the device is covered", True),
        ("the lens of node 2 is covered", False),
    )


@pytest.mark.parametrize("make", BEAM)
def test_vs350_totals_are_16_bits_wide(make: Make) -> None:
    """The example of the maker: totals and periods in one pair each."""
    assert read(make, "04CC12001600 05CC13001400") == Reading(
        totals=both(18, 22), width_bits=16, increments=both(19, 20)
    )
    assert read(make, "04CCFFFF0001").totals == both(65535, 256)


@pytest.mark.parametrize("make", BEAM)
def test_vs350_an_alarm_tells_totals_and_no_period(make: Make) -> None:
    """The period of an alarm is not over, and comes again with the next report."""
    reading = read(make, "84CC0111081101 85CCE803E90301")

    assert reading == Reading(totals=both(4353, 4360))


def test_vs350_battery_and_temperature() -> None:
    """Percent and tenths of a degree with their sign, also in an alarm."""
    assert read(Make.VS350, "017564 03670C01") == Reading(battery_percent=100, temperature=26.8)
    assert read(Make.VS350, "8367360101").temperature == 31.0
    assert read(Make.VS350, "03679CFF").temperature == -10.0


def test_vs360_the_weaker_battery_and_events() -> None:
    """Both halves have a battery; events come and go."""
    assert read(Make.VS360, "017564 027537").battery_percent == 55
    assert read(Make.VS360, "017537 027564").battery_percent == 55
    assert read(Make.VS360, "027537").battery_percent == 55
    assert read(Make.VS360, "03F40001 03F40000 03F40101 03F40201 03F40901").troubles == (
        ("counting is not plausible", True),
        ("counting is not plausible", False),
        ("the other half does not answer", True),
        ("the halves are not aligned", True),
        ("event 9", True),
    )


def test_vs350_history_is_not_counted() -> None:
    """Records of earlier times are skipped and told; the live totals win wherever they stand."""
    history = "20CE7B3AF164000B000400 20CEFF3DF16401070002001D000800"
    for payload in (history + "04CC1E000900 05CC01000100", "04CC1E000900 05CC01000100" + history):
        reading = read(Make.VS360, payload)

        assert (reading.totals, reading.increments, reading.history) == (both(30, 9), both(1, 1), 2)
        assert "2 records of earlier times" in reading.remarks[0]
    alone = read(Make.VS350, history)
    assert not alone.counts
    assert alone.history == 2


def test_vs133_history_is_not_counted() -> None:
    """Each kind of record has its length: 8 bytes for dwell times, 9 for all others."""
    long = "".join(f"20ce7b3af164{kind:02x}01020304" for kind in (*range(0x03, 0x10), *range(0x11, 0x1E)))
    short = "".join(f"20ce7b3af164{kind:02x}010203" for kind in (0x10, 0x20, 0x1E, 0x3C))
    reading = read(Make.VS135, long + short + VS133_TOTALS)

    assert reading.totals == both(72, 200)
    assert reading.history == 30


def test_vs121_history_is_not_counted() -> None:
    """Each kind of record has its length."""
    history = "".join(f"20ce7b3af164{kind:02x}01020304" for kind in (1, 2, *range(4, 0x11), 0x12))
    history += "20ce7b3af1640301 20ce7b3af164110102030405"
    reading = read(Make.VS121, history + VS121_WHOLE)

    assert reading.totals == both(12345, 3)
    assert reading.history == 18


@pytest.mark.parametrize(
    ("make", "kind"), [(Make.VS350, 2), (Make.VS133, 2), (Make.VS133, 0x21), (Make.VS121, 0), (Make.VS121, 0x13)]
)
def test_a_record_of_unknown_kind_ends_the_decoding(make: Make, kind: int) -> None:
    """Its length is not known, so what follows cannot be found: what came before is kept."""
    before = WHOLE[make].replace(" ", "")
    reading = read(make, before + f"20ce7b3af164{kind:02x}01020304" + "01" * 9)

    assert reading.totals == read(make, before).totals
    assert reading.history == 0
    assert f"from byte {len(before) // 2} on: 20 ce" in reading.remarks[0]


def test_vs121() -> None:
    """The total counts; people in regions and at most do not."""
    assert read(Make.VS121, VS121_WHOLE) == Reading(totals=both(12345, 3), width_bits=16, increments=both(2, 1))
    assert read(Make.VS121, "05CC02000100") == Reading(increments=both(2, 1))
    assert read(Make.VS121, "04C9030800A1 06CD05") == Reading()
    other = "07D50001000000000003 08D50100000000000000 09DA0001000200000000 0ADA0000000000000000 0BDA0000000000000012"
    other += "0CDA0000000000000000 0EE40101000200 10F701000200"
    assert read(Make.VS121, other + VS121_WHOLE).totals == both(12345, 3)


def test_vs121_negative_increments_are_not_counted() -> None:
    """The number of the period is signed, and nobody passes a negative number of times; the total is not."""
    reading = read(Make.VS121, "05CCFFFF0100 0DCCFFFF0100")

    assert (reading.totals, reading.increments) == (both(65535, 1), ())
    assert "negative" in reading.remarks[0]
    assert read(Make.VS121, "05CCFF7F0100").increments == both(32767, 1)


@pytest.mark.parametrize("serial", ["6600B0940976", "6600B09409761234"])
def test_vs121_serial_numbers_of_either_length(serial: str) -> None:
    """Six bytes or eight, told apart by what follows."""
    about = f"FF0101 FF08{serial}"

    assert read(Make.VS121, about + "FF090100 FF1F1F07004B" + VS121_WHOLE) == Reading(
        totals=both(12345, 3), increments=both(2, 1), firmware="31.7.0.75"
    )
    assert read(Make.VS121, about).remarks == ()
    assert "ff 0b and 0 bytes" in read(Make.VS121, about + "FF0B").remarks[0]


def test_vs121_a_short_serial_number_before_counts() -> None:
    """What follows six bytes is not taken for a part of them; nor is a single byte too many."""
    about = "FF0101 FF086600B0940976"

    assert read(Make.VS121, about + VS121_WHOLE).totals == both(12345, 3)
    assert "from byte 11 on: 12" in read(Make.VS121, about + "12").remarks[0]


@pytest.mark.parametrize("make", [*TOF, *BEAM, Make.VS121])
def test_milesight_says_when_it_starts(make: Make) -> None:
    """Switched on, or reset: both may set totals to 0. The version of the firmware is of two bytes or four."""
    reading = read(make, "FF0BFF FF0A0110")

    assert (reading.started, reading.firmware, reading.counts) == (True, "1.10", False)
    assert read(make, "FFFE01").started
    assert not read(make, "FF0101 FF0F02 FFFF0100").started


@pytest.mark.parametrize(
    ("make", "payload"),
    [
        (Make.VS132, "FE5101"),
        (Make.VS133, "FF5101"),
        (Make.VS121, "FF5101"),
        (Make.VS350, "FEA801"),
        (Make.VS360, "FFA802"),
    ],
)
def test_milesight_says_when_totals_were_cleared(make: Make, payload: str) -> None:
    """The answer to the order that sets totals to 0 is told, and what follows it is read."""
    reading = read(make, "FE1001" + payload + WHOLE[make])

    assert reading.cleared
    assert reading.totals == read(make, WHOLE[make]).totals
    assert not read(make, WHOLE[make]).cleared


@pytest.mark.parametrize("make", [*TOF, *BEAM, Make.VS121])
def test_milesight_unknown_pair_ends_the_decoding_and_loses_nothing_before(make: Make) -> None:
    """What was decoded stays; the rest is told by place, for its beginning cannot be found."""
    before = read(make, WHOLE[make])
    known = len(bytes.fromhex(WHOLE[make]))
    again = "03D2FFFFFFFF 04CCFFFFFFFF 0DCCFFFFFFFF"
    reading = read(make, WHOLE[make] + "7742" + again)

    assert (reading.totals, reading.increments) == (before.totals, before.increments)
    assert reading.remarks == (f"not decoded from byte {known} on: 77 42 and 18 bytes, a channel and type not known",)


def test_milesight_the_last_of_two_wins() -> None:
    """One channel twice is the same number told again, never a sum."""
    assert read(Make.VS132, "03D201000000 03D202000000").totals == ((IN, 0, 2),)
    assert read(Make.VS350, "04CC01000100 84CC0200020001").totals == both(2, 2)
    assert read(Make.VS350, "84CC0200020001 04CC03000300").totals == both(3, 3)
    assert read(Make.VS350, "05CC01000100 05CC02000200").increments == both(2, 2)


@pytest.mark.parametrize(
    ("make", "payload"),
    [
        (Make.VS350, WHOLE[Make.PCR2]),
        (Make.VS132, "04CC12001600"),
        (Make.VS121, "04CC12001600"),
        (Make.VS350, "03D2BE000000"),
        (Make.VS133, "03"),
        (Make.VS133, "03D2BE0000"),
        (Make.VS121, "FF08660011"),
        (Make.VS360, "20CE"),
    ],
)
def test_the_payload_of_another_make_is_refused(make: Make, payload: str) -> None:
    """Where not even the beginning is known, the make is likely set wrongly."""
    with pytest.raises(PayloadError, match="is it the right make"):
        read(make, payload)


# IMBUILDINGS


def test_imbuildings_variant_6() -> None:
    """The example of the documents, and one worked out by hand, without its header."""
    assert read(Make.IMBUILDINGS, WHOLE[Make.IMBUILDINGS]) == Reading(
        totals=both(13, 10), increments=both(0, 0), supply_mv=2560
    )
    expected = Reading(totals=both(0xFFFE, 0x0102), increments=both(3, 4), supply_mv=3000)
    body = "01 012c 0003 0004 20 fffe 0102 6b"
    assert read(Make.IMBUILDINGS, body, port=26) == expected
    assert read(Make.IMBUILDINGS, "0206 0004a30b00f0d40e" + body, port=26) == expected


def test_imbuildings_variants_7_and_8() -> None:
    """Totals alone, and a heartbeat without counts."""
    for port, header in ((1, "0207 0004a30b00f0d40e"), (27, "")):
        assert read(Make.IMBUILDINGS, header + "20 000d 000a", port=port) == Reading(totals=both(13, 10))
    for port, header in ((1, "0208 0004a30b00f0d40e"), (28, "")):
        assert read(Make.IMBUILDINGS, header + "00 0100 20", port=port) == Reading(supply_mv=2560)


@pytest.mark.parametrize(
    ("port", "payload"),
    [
        (1, "0206 0004a30b00f0d40e 00 0100 0000 0000 20 000d 000a"),
        (1, "0106 0004a30b00f0d40e 00 0100 0000 0000 20 000d 000a 6a"),
        (1, "0205 0004a30b00f0d40e 00 0100 0000 0000 20 000d 000a 6a"),
        (25, "01 012c 0003 0004 20 fffe 0102 6b"),
        (26, "20 000d 000a"),
        (10, "f101"),
        (1, "02"),
    ],
)
def test_imbuildings_what_it_does_not_send(port: int, payload: str) -> None:
    """Other types, variants, lengths and ports are refused."""
    with pytest.raises(PayloadError, match="a people counter begins 02"):
        read(Make.IMBUILDINGS, payload, port=port)


# All


@pytest.mark.parametrize("make", list(Make))
def test_an_uplink_for_the_network_alone_says_nothing(make: Make) -> None:
    """Without bytes, and on FPort 0, there is nothing to count and no fault."""
    assert read(make, "") == Reading()
    reading = read(make, WHOLE[make], port=0)
    assert not reading.counts
    assert "FPort 0" in reading.remarks[0]


def test_lines() -> None:
    """The VS133 and VS135 count at four lines, all others at one; there is no line 0."""
    assert {make for make in Make if lines_of(make) == 4} == {Make.VS133, Make.VS135}
    for make in Make:
        for line in (0, lines_of(make) + 1):
            with pytest.raises(ValueError, match=f"lines 1 to {lines_of(make)}"):
                read(make, WHOLE[make], line=line)


@pytest.mark.parametrize("make", list(Make))
def test_a_payload_cut_anywhere_tells_only_what_is_in_it(make: Make) -> None:
    """At every length there is a refusal, or a reading of whole values: each number is one of the whole payload."""
    whole = bytes.fromhex(WHOLE[make])
    full = decode(make, PORT.get(make, 85), whole)
    assert full.totals
    assert full.increments
    for length in range(1, len(whole)):
        try:
            reading = decode(make, PORT.get(make, 85), whole[:length])
        except PayloadError:
            continue
        assert set(reading.totals) <= set(full.totals)
        assert set(reading.increments) <= set(full.increments)


def wrong(whole: bytes, dice: random.Random) -> Iterator[bytes]:
    """`whole` with bytes changed, lost, put in, and with a beginning alone."""
    for _ in range(1000):
        payload = bytearray(whole)
        for _ in range(dice.randint(1, 3)):
            at = dice.randrange(len(payload))
            match dice.randrange(3):
                case 0:
                    payload[at] = dice.randrange(256)
                case 1:
                    payload.insert(at, dice.randrange(256))
                case _ if len(payload) > 1:
                    del payload[at]
        yield bytes(payload)


def check(make: Make, port: int, payload: bytes, line: int) -> None:
    """A reading whose numbers fit their width, or a refusal; any other exception comes through."""
    try:
        reading = decode(make, port, payload, line=line)
    except PayloadError:
        return
    assert all(0 <= number < 2**reading.width_bits for _, _, number in reading.totals)
    assert all(0 <= number < 2**16 for _, _, number in reading.increments)
    assert {direction for direction, _, _ in reading.totals + reading.increments} <= {IN, OUT}
    assert len({cell[:2] for cell in reading.totals}) == len(reading.totals)


@pytest.mark.parametrize("make", list(Make))
def test_wrong_bytes_are_read_or_refused(make: Make) -> None:
    """A payload with bytes changed, lost or put in raises nothing but a refusal."""
    for payload in wrong(bytes.fromhex(WHOLE[make]), random.Random(make)):
        check(make, PORT.get(make, 85), payload, lines_of(make))


@given(st.sampled_from(list(Make)), st.sampled_from([0, 1, 14, 26, 27, 28, 85, 190]), st.binary(max_size=60), st.data())
def test_any_bytes_are_read_or_refused(make: Make, port: int, payload: bytes, data: st.DataObject) -> None:
    """Random payloads of every make on every port raise nothing but a refusal."""
    check(make, port, payload, data.draw(st.integers(1, lines_of(make))))


@pytest.mark.full
@pytest.mark.parametrize("make", list(Make))
def test_a_hundred_thousand_random_payloads_are_read_or_refused(make: Make) -> None:
    """The same with many, a part of them beginning as this make's do."""
    dice = random.Random(f"{make} 5")
    whole = bytes.fromhex(WHOLE[make])
    for number in range(100_000):
        payload = whole[: dice.randrange(len(whole)) * (number % 2)] + dice.randbytes(dice.randrange(60))
        check(make, dice.choice([1, 14, 26, 27, 28, 85, 190]), payload, lines_of(make))
