"""The lock by network that both proxies offer holds for every address of the operator's page, in every language."""

import re
from pathlib import Path

import pytest

from footfall_api.messages import LANGUAGES
from footfall_api.pages.frame import Pages

DEPLOY = Path(__file__).parents[2] / "deploy"
ADDRESSES = [*(Pages.path("operations", language) for language in LANGUAGES), "/api/v1/operations"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_nginx_locks_every_way_in(address: str) -> None:
    """As well with something behind it; and no more than that."""
    text = (DEPLOY / "nginx" / "footfall.conf").read_text("utf-8")
    found = re.search(r"# location ~ (\S+operations\S+) \{", text)
    assert found is not None
    assert re.search(found[1], address)
    assert re.search(found[1], f"{address}/x")
    assert not re.search(found[1], f"{address}x")


@pytest.mark.parametrize("address", ADDRESSES)
def test_caddy_locks_every_way_in(address: str) -> None:
    """The address itself and what may stand behind it are two patterns there."""
    text = (DEPLOY / "caddy" / "Caddyfile").read_text("utf-8")
    found = re.search(r"# @operation \{\s+#\s+path (.+)", text)
    assert found is not None
    assert {address, f"{address}/*"} <= set(found[1].split())
