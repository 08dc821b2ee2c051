"""What leaves CEKWorld: sequences for 3D Slicer, curves as numbers and pictures, contact sheets."""
