"""The panel of the Slicer module. The only room that may import qt and ctk; what does not need them is tested alone."""
