"""The guided path: forwards only, never twice over what was done early, and left for good."""

from tui.client.guide import STEPS, Guide


def test_each_word_leads_one_step_on():
    guide = Guide()
    for number, step in enumerate(STEPS[:-1]):
        assert guide.number == number
        assert step.done_by is not None
        assert guide.happened(step.done_by)
    assert guide.step is STEPS[-1]
    assert not guide.happened("viewed")


def test_what_was_done_early_is_not_asked_for_again():
    guide = Guide()
    assert not guide.happened("viewed")
    assert not guide.happened("received")
    assert guide.happened("requested")
    assert guide.step is STEPS[-1]


def test_words_of_other_things_lead_nowhere():
    guide = Guide()
    assert not guide.happened("encrypted")
    assert guide.number == 0


def test_whoever_leaves_it_is_not_led_again():
    guide = Guide()
    guide.leave()
    assert guide.step is None
    guide.happened("requested")
    assert guide.step is None
