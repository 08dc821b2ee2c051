"""What a trained model says of itself: its data, its licence, what it was started from, and how to train it again."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import TINY, tiny_model

from CEKWorldLib.models.bundle import save_model
from CEKWorldLib.training import card
from CEKWorldLib.training.configuration import TrainingConfiguration
from CEKWorldLib.training.data import DataPlan


@pytest.mark.parametrize(
    ("said", "exams", "simulated"), [(True, None, True), (False, None, False), (None, None, False), (True, "e", False)]
)
def test_a_model_that_starts_from_another_says_what_that_one_has_seen(tmp_path, said, exams, simulated):
    metadata = {"name": "theirs", "training_data": "1000 exams of Hospital H."}
    metadata |= {} if said is None else {"trained_on_simulated_data": said}
    text = "# theirs\n\n## Licence\nFor research at H alone.\n\n## Measured quality\nGood.\n"
    save_model(tiny_model(), tmp_path / "given", metadata, text)
    configuration = TrainingConfiguration(TINY, DataPlan(3, exams=exams and Path(exams), exam_share=0.5), ())
    ancestor = card.Ancestor.of(str(tmp_path / "given"))
    made = card.model_metadata(configuration, 0, "0", ancestor)
    text = card.model_card(configuration, made, ancestor)
    assert made["trained_on_simulated_data"] is simulated and made["training"]["init"] == "theirs"
    assert made["data_type"] == ("simulated" if simulated else "real")
    assert "started from the model 'theirs'" in text and "--init theirs" in text
    assert "1000 exams of Hospital H." in made["training_data"] and made["training_data"] in text
    assert "For research at H alone." in text and "Good." not in text
    assert ("has seen no patient" in text) is simulated
    assert "No patient data" not in text and "no weights of others" not in text


def test_the_licence_of_the_shipped_model_is_taken_over_and_a_model_from_nothing_names_no_other():
    assert card.Ancestor.of("compact").simulated and card.Ancestor.of("compact").licence == card.SIMULATED_LICENCE
    configuration = TrainingConfiguration(TINY, DataPlan(3), ())
    alone = card.model_metadata(configuration, 0, "0")
    assert alone["trained_on_simulated_data"] is True and alone["training"]["init"] is None
    assert "started from" not in card.model_card(configuration, alone)


def test_the_command_that_made_a_model_names_the_file_and_not_the_model():
    configuration = TrainingConfiguration(TINY, DataPlan(3), (), "mine.toml")
    text = card.model_card(configuration, card.model_metadata(configuration, 0, "0"))
    assert "`cekworld train mine.toml`" in text
