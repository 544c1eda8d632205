import pytest
import sacrebleu
import torch

from metrics import TranslationScores, signatures

SOURCE = ["ein Hund", "zwei Katzen schlafen auf dem alten Sofa im großen Wohnzimmer heute", "", "drei Vögel"]
HYPOTHESIS = ["a dog", "Two cats sleep on the old sofa in the living room.", "nothing", "three birds fly away"]
REFERENCE = ["a dog", "two cats are sleeping on the old sofa in the big living room .", "", "three birds fly"]


def scores(batch_size: int) -> dict[str, float]:
    metric = TranslationScores()
    for start in range(0, len(SOURCE), batch_size):
        metric.update(*(texts[start : start + batch_size] for texts in (SOURCE, HYPOTHESIS, REFERENCE)))
    return {name: value.item() for name, value in metric.compute().items()}


@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_scores_are_those_of_sacrebleu_over_the_whole_corpus(batch_size: int) -> None:
    found = scores(batch_size)
    assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(HYPOTHESIS, [REFERENCE]).score)
    lowercased = sacrebleu.corpus_bleu(HYPOTHESIS, [REFERENCE], lowercase=True).score
    assert found["bleu_lowercased"] == pytest.approx(lowercased)
    assert found["bleu_lowercased"] != pytest.approx(found["bleu"])
    assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(HYPOTHESIS, [REFERENCE]).score)
    assert found["exact_match"] == 0.25


def test_sources_are_divided_by_their_words() -> None:
    found = scores(4)
    # the empty source is in no range
    assert {name for name in found if "source" in name} == {"bleu_source_1_10", "bleu_source_11_15"}
    expected = sacrebleu.corpus_bleu([HYPOTHESIS[1]], [[REFERENCE[1]]]).score
    assert found["bleu_source_11_15"] == pytest.approx(expected)
    expected = sacrebleu.corpus_bleu([HYPOTHESIS[0], HYPOTHESIS[3]], [[REFERENCE[0], REFERENCE[3]]]).score
    assert found["bleu_source_1_10"] == pytest.approx(expected)


def test_any_text_survives() -> None:
    metric = TranslationScores()
    texts = ["", "Grüße\n\tan alle", "日本語 🙂", "a\x00b"]
    metric.update(texts, texts, texts)
    assert metric.compute()["exact_match"] == 1.0
    assert metric.compute()["chrf"] == pytest.approx(100)


def test_a_reset_forgets() -> None:
    metric = TranslationScores()
    metric.update(["x"], ["wrong"], ["right"])
    metric.reset()
    metric.update(["x"], ["right"], ["right"])
    assert metric.compute()["exact_match"] == 1.0


def test_signatures_name_case_and_version() -> None:
    found = signatures()
    assert f"version:{sacrebleu.__version__}" in found["bleu_signature"]
    assert "tok:13a" in found["bleu_signature"]
    assert "case:mixed" in found["bleu_signature"]
    assert "case:lc" in found["bleu_lowercased_signature"]
    assert "nc:6" in found["chrf_signature"]


def test_scores_are_tensors_that_can_be_logged() -> None:
    metric = TranslationScores()
    metric.update(SOURCE, HYPOTHESIS, REFERENCE)
    assert all(isinstance(value, torch.Tensor) and value.ndim == 0 for value in metric.compute().values())
