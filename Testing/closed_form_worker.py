"""A worker process with the closed-form model: what ``python -m CEKWorldLib.worker`` is, without weights to load."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from closed_form_model import ClosedFormModel

from CEKWorldLib.worker import process, service

service.load_model = lambda name: ClosedFormModel()
service.watch = lambda model: None
process.main()
