"""The physics simulator: procedural anatomy, tracer kinetics and the MR signal, with the truth kept beside each case."""
