"""A session in MRML, shared by 3D Slicer and the browser viewer. May import slicer and vtk, never qt."""
