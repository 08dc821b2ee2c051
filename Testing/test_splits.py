"""Held-out splits: what is kept from training is kept by seed, by lesion family, by protocol and by AIF."""

import pytest

from CEKWorldLib.exam.protocol import ANATOMIES
from CEKWorldLib.simulation import case, splits


def test_seed_ranges_of_splits_do_not_overlap():
    ranges = [
        range(splits.global_seed(s, 0), splits.global_seed(s, splits.SEEDS_PER_SPLIT - 1) + 1) for s in splits.SPLITS
    ]
    ranges.sort(key=lambda r: r.start)
    assert all(a.stop <= b.start for a, b in zip(ranges, ranges[1:], strict=False))


@pytest.mark.parametrize("seed", [-1, splits.SEEDS_PER_SPLIT])
def test_a_seed_outside_its_split_is_refused(seed):
    with pytest.raises(ValueError, match="outside"):
        splits.global_seed("train", seed)


def test_an_unknown_split_is_refused():
    with pytest.raises(ValueError, match="unknown split"):
        splits.global_seed("holdout", 1)


@pytest.mark.parametrize("anatomy", ANATOMIES)
def test_the_unseen_family_occurs_in_its_split_alone(anatomy):
    families = case.SUBJECTS[anatomy][1]
    unseen = splits.lesion_families(anatomy, families, "unseen_lesion")
    assert len(unseen) == 1 and unseen[0] in families
    for split in set(splits.SPLITS) - {"unseen_lesion"}:
        seen = splits.lesion_families(anatomy, families, split)
        assert set(seen) == set(families) - set(unseen)


def test_the_unseen_aif_occurs_in_its_split_alone():
    assert splits.aif_names("unseen_aif") == ("georgiou",)
    for split in set(splits.SPLITS) - {"unseen_aif"}:
        assert set(splits.aif_names(split)) == {"parker", "orton"}


@pytest.mark.parametrize("anatomy", ANATOMIES)
def test_simulated_cases_hold_the_families_of_their_split(anatomy):
    unseen = splits.HELD_OUT_FAMILY[anatomy]
    for split in ("train", "unseen_lesion"):
        cases = [case.simulate(anatomy, seed, split, shape=(1, 32, 32)) for seed in range(3)]
        families = {lesion.family for c in cases for lesion in c.lesions}
        assert families == {unseen} if split == "unseen_lesion" else unseen not in families
