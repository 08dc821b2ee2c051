"""Training of the world model: the bank of simulated slices, the losses of each stage, and the loop."""
