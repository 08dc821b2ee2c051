"""The browser viewer: real Slicer scene, logic and slice views, drawn on the host; one process per browser session."""
