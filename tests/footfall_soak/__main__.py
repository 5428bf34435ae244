"""``python -m footfall_soak``."""

import sys

from footfall_soak.cli import main

if __name__ == "__main__":
    sys.exit(main())
