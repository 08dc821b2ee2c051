"""CEKWorld: contrast-enhancement kinetics synthesized from a pre-contrast MR volume."""

__version__ = "0.1.0"
