"""``make screenshots``: which pictures there are, and what is said where there are none."""

import struct
from pathlib import Path

import pytest
from bench import screenshots
from bench.browser import find_chromium

from footfall_testing.web_city import City, this_minute


def size_of(picture: Path) -> tuple[int, int]:
    """Width and height of a PNG."""
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    return width, height


@pytest.mark.browser
@pytest.mark.xdist_group("browser-1")
@pytest.mark.skipif(not find_chromium(), reason="Chromium is not installed: no pictures can be taken")
def test_pictures_of_a_page(
    city: City, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole page in each width and language, dark in one; each is named as it is done."""
    monkeypatch.setattr(screenshots, "SETTLED_MS", 100)  # that a page loads to its end is another test's business
    city.count("markt", this_minute(), {0: 3}, observed_s=10)

    assert screenshots.main([str(tmp_path / "new"), "--page", "now", "--url", city.url]) == 0

    pictures = {path.name: size_of(path) for path in (tmp_path / "new").iterdir()}
    assert sorted(pictures) == [
        "now-de-desktop-dark.png",
        "now-de-desktop-light.png",
        "now-de-phone-dark.png",
        "now-de-phone-light.png",
        "now-en-desktop-light.png",
        "now-en-phone-light.png",
    ]
    for name, (width, height) in pictures.items():
        least = (1280, 900) if "desktop" in name else (360, 740)
        assert width == least[0]
        assert height > least[1]
    said = capfd.readouterr().err
    assert all(name in said for name in pictures)


def test_what_is_not_right_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown page and a missing browser are said before a city is made, with the way out."""
    monkeypatch.setattr(screenshots, "find_chromium", lambda: "/usr/bin/chromium")
    assert screenshots.main([str(tmp_path), "--page", "nwo"]) == 1
    assert "there is no page 'nwo'; there are:" in capsys.readouterr().err
    monkeypatch.setattr(screenshots, "find_chromium", lambda: None)
    assert screenshots.main([str(tmp_path)]) == 1
    assert "apt install chromium" in capsys.readouterr().err


@pytest.mark.browser
@pytest.mark.xdist_group("browser-1")
@pytest.mark.skipif(not find_chromium(), reason="Chromium is not installed: no pictures can be taken")
def test_an_installation_that_is_away_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each picture that could not be taken is named with the reason, and the status is not that of success."""
    assert screenshots.main([str(tmp_path), "--page", "now", "--url", "http://127.0.0.1:9"]) == 1
    said = capsys.readouterr().err
    assert "now-de-phone-light.png: " in said
    assert "Traceback" not in said
