"""Codes of the truth label map, shared by all anatomies. Lesion n (from 0) has code LESION + n."""

from __future__ import annotations

from enum import IntEnum


class Label(IntEnum):
    AIR = 0
    FAT = 1
    SKIN = 2
    MUSCLE = 3
    BONE = 4
    LUNG = 5
    ARTERY = 6
    VEIN = 7
    HEART = 8
    GLAND = 10
    NIPPLE = 11
    LYMPH_NODE = 12
    LIVER = 20
    SPLEEN = 21
    KIDNEY_CORTEX = 22
    KIDNEY_MEDULLA = 23
    PANCREAS = 24
    STOMACH = 25
    BOWEL_WALL = 26
    GALLBLADDER = 27
    PORTAL_VEIN = 28
    FLUID = 29
    WHITE_MATTER = 40
    GREY_MATTER = 41
    CSF = 42
    CHOROID_PLEXUS = 43
    SINUS = 44
    MUCOSA = 45
    OEDEMA = 46
    PITUITARY = 47
    LESION = 100


def is_lesion(labels):
    """Mask of lesion voxels, any lesion."""
    return labels >= Label.LESION
