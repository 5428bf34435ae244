"""What importing the contract brings, and costs."""

import subprocess
import sys

import footfall_contract


def test_an_edge_box_needs_no_numpy() -> None:
    """Importing the package and its schemas loads no numpy; only the batch needs it."""
    program = "import sys, footfall_contract, footfall_contract.schemas; sys.exit('numpy' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_every_name_that_is_offered_is_there() -> None:
    """`__all__` names what the package has, sorted and each once."""
    offered = footfall_contract.__all__

    assert len(set(offered)) == len(offered)
    assert all(hasattr(footfall_contract, name) for name in offered)
