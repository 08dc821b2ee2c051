"""The training configuration file: what it asks for is what is trained, and what means nothing is refused at once."""

from __future__ import annotations

import re

import pytest

from CEKWorldLib.errors import CEKWorldError
from CEKWorldLib.training import configuration as configurations
from CEKWorldLib.training.configuration import read_configuration
from CEKWorldLib.training.consistency import Consistency


def test_a_stage_takes_its_options_from_the_file_and_refuses_what_it_does_not_know(tmp_path):
    text = (configurations.SHIPPED / "compact.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(text)
    flows = [plan.make() for plan in read_configuration(path).stages if plan.kind == "flow"]
    assert flows[0].consistency == Consistency()
    assert flows[1].consistency == Consistency(alignment=6.0, axis="region")
    assert flows[2].consistency == Consistency(difference=50.0, mode="latent")
    path.write_text(text + "colour = 1\n")
    with pytest.raises(CEKWorldError, match="mine.toml.*argument"):
        read_configuration(path)


def test_shipped_configuration_is_read_whole():
    configuration = read_configuration("compact")
    names = [plan.name for plan in configuration.stages]
    assert names == ["decoder", "context", "refinement", "flow", "flow-aligned", "flow-smooth"]
    assert configuration.model.name == "compact" and configuration.stages[0].make()


@pytest.mark.parametrize(
    "text", ["[model", "[model]\nname='x'", "[model]\nname='x'\ncolour=1\n[bank]\nslabs=1\nseed=0\n[[stages]]"]
)
def test_a_configuration_that_cannot_be_read_is_named(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(CEKWorldError):
        read_configuration(path)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ('axis = "region"', 'axis = "regions"', "regions"),
        ('mode = "latent"', 'mode = "offical"', "offical"),
        ("points = 2", "points = 0", "points = 0"),
        ("points = 2", "points = 2, difference_share = 0.0", "difference_share"),
        ("alignment = 6.0", "alignment = -6.0", "weights from 0"),
        ("times = 4\nlearning_rate = 3e-4\nconsistency", "times = 1\nlearning_rate = 3e-4\nconsistency", "2 to 16"),
        ("times = 2", "times = 17", "1 to 16"),
        ("size = 128", "size = 100", "steps of 32"),
        ("steps = 250", 'steps = "250"', "'250'"),
        ("slices = 4", "slices = 0", "slices = 0"),
        ('kind = "flow"', 'kind = "flow"\nnoise_start_share = 7', "no share"),
        ('name = "context"', 'name = "decoder"', "names of their own"),
        ('name = "context"', 'name = "start"', "names of their own"),
        ('name = "context"', 'name = "../context"', "names of their own"),
        ("slabs = 6000", "slabs = 6000\nslab = 1", "'slab'"),
        ("slabs = 6000", 'slabs = "many"', "'many'"),
        ("[bank]", "[live]\n[bank]", "one of the two"),
        ("[bank]", "[date]\n[bank]", "'date'"),
    ],
)
def test_an_entry_that_means_nothing_is_refused_before_training(tmp_path, right, wrong, said):
    """Most of these trained something else than was asked for, or failed hours later."""
    text = (configurations.SHIPPED / "compact.toml").read_text()
    assert right in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(right, wrong, 1))
    with pytest.raises(CEKWorldError, match=re.escape(said)):
        read_configuration(path)
