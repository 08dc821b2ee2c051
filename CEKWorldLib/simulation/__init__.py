"""The physics simulator: procedural anatomy, tracer kinetics and the MR signal, with its truth beside each case."""
