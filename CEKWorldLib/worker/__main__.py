"""``python -m CEKWorldLib.worker`` is the worker process."""

from CEKWorldLib.worker.process import main

main()
