"""``python -m CEKWorldLib.worker`` is the worker process."""

import sys

from CEKWorldLib.worker.process import main

sys.exit(main())
