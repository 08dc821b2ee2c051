"""Curve kinetics of acquired and synthesized series: statistics, regions, maps, uncertainty. numpy and scipy only."""
