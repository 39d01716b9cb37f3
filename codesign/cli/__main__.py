"""``python -m codesign.cli`` is the command ``codesign``."""

import sys

from codesign.cli import main

sys.exit(main())
