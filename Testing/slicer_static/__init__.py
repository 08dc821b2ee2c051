"""Checks of the Slicer module that need no Slicer: one file per idea; ``test_slicer_static_*.py`` run them."""
