"""The supervisor of one mesh: `python -m atlas_local --home DIRECTORY [PART…]`."""

import sys

from atlas_local.supervising.daemon import main

if __name__ == "__main__":
    sys.exit(main())
