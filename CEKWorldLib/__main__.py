"""``python -m CEKWorldLib`` is the ``cekworld`` command."""

import sys

from CEKWorldLib.cli.main import main

sys.exit(main())
