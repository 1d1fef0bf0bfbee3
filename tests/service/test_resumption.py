from dataclasses import replace

import pytest

from pipeline.exceptions import LogChangedError
from pipeline.service.ports import SavedState, TopicLog
from pipeline.service.resumption import Bounds, ResumeRules, Resumption, resumption

DIGEST, HEIR = "d" * 64, "a" * 64
OURS = frozenset({HEIR, DIGEST})  # of a detector that extends the one of before
LOG = Bounds(100, 500)
RULES = ResumeRules(replay=50)


def state(offset, digest=DIGEST):
    return SavedState(offset, digest, {})


@pytest.mark.parametrize(
    ("saved", "committed", "expected"),
    [
        pytest.param(state(300), 300, Resumption(300, 300, "state"), id="stopped cleanly"),
        pytest.param(state(300), 250, Resumption(300, 300, "state"), id="ended between saving and committing"),
        pytest.param(state(200), 300, Resumption(200, 300, "state"), id="others went on meanwhile"),
        pytest.param(state(300), None, Resumption(300, 300, "state"), id="the group's offsets expired"),
        pytest.param(state(100), 100, Resumption(100, 100, "state"), id="at the beginning of the log"),
        pytest.param(state(500), 500, Resumption(500, 500, "state"), id="at the end of the log"),
        pytest.param(None, None, Resumption(100, 100, "first_start"), id="never started"),
        pytest.param(None, 300, Resumption(250, 300, "state_missing"), id="no state"),
        pytest.param(None, 120, Resumption(100, 120, "state_missing"), id="no state and little to replay"),
        pytest.param(state(300, "e" * 64), 300, Resumption(250, 300, "other_digest"), id="another detector"),
        pytest.param(state(300, "e" * 64), None, Resumption(250, 300, "other_digest"), id="its outputs are stored"),
        pytest.param(state(50), 300, Resumption(250, 300, "beyond_retention"), id="the state is too old"),
        pytest.param(state(50), 60, Resumption(100, 100, "beyond_retention", lost=40), id="records are gone"),
        pytest.param(None, 60, Resumption(100, 100, "beyond_retention", lost=40), id="records are gone, no state"),
        pytest.param(state(0), 0, Resumption(100, 100, "beyond_retention", lost=100), id="gone from the first record"),
        pytest.param(state(800), 300, Resumption(250, 300, "beyond_retention"), id="a state of another log"),
        pytest.param(state(800), 800, Resumption(100, 100, "beyond_retention"), id="the topic was made anew"),
        pytest.param(
            state(300), 800, Resumption(100, 100, "beyond_retention"), id="made anew, the state fits by chance"
        ),
        pytest.param(state(800), None, Resumption(100, 100, "beyond_retention"), id="made anew, offsets deleted"),
    ],
)
def test_a_partition_goes_on_where_nothing_is_lost_and_nothing_repeated(saved, committed, expected):
    assert resumption(saved, committed, LOG, OURS, RULES) == expected


def test_a_first_start_at_the_end_leaves_out_what_is_there():
    latest = ResumeRules("latest")

    assert resumption(None, None, LOG, OURS, latest) == Resumption(500, 500, "first_start")
    assert resumption(None, 300, LOG, OURS, latest).quiet == 300


def test_a_first_start_at_the_end_fills_back_in_silence_as_far_as_the_log_reaches():
    back = ResumeRules("latest", backfill=150)

    assert resumption(None, None, LOG, OURS, back) == Resumption(350, 500, "first_start")
    assert resumption(None, None, LOG, OURS, replace(back, backfill=1000)) == Resumption(100, 500, "first_start")
    assert resumption(None, None, LOG, OURS, replace(back, start="earliest")) == Resumption(100, 100, "first_start")
    assert resumption(None, 300, LOG, OURS, back).offset == 100, "what is not the first start replays"
    assert resumption(None, 800, LOG, OURS, back) == Resumption(350, 500, "beyond_retention"), "made anew"


def test_a_partition_of_which_nothing_was_read_has_lost_no_state():
    """It went to another process before its first record, and was told as one whose state is missing."""
    fresh = Bounds(0, 500)

    assert resumption(None, 0, fresh, OURS, RULES) == Resumption(0, 0, "first_start")
    assert resumption(None, 1, fresh, OURS, RULES) == Resumption(0, 1, "state_missing")
    assert resumption(None, 0, fresh, OURS, RULES, corrupt=True).reason == "corrupt"


def test_an_unreadable_state_is_called_by_its_name():
    assert resumption(None, 300, LOG, OURS, RULES, corrupt=True).reason == "corrupt"
    assert resumption(None, None, LOG, OURS, RULES, corrupt=True) == Resumption(100, 100, "corrupt")


HERE, MORE, ANEW = TopicLog("a", 3), TopicLog("a", 4), TopicLog("b", 3)


def test_a_state_of_a_topic_that_was_made_anew_is_refused_though_its_offsets_would_fit():
    before = replace(state(300), log=HERE)

    assert resumption(before, 300, LOG, OURS, RULES, log=HERE).reason == "state"
    assert resumption(before, 300, LOG, OURS, RULES, log=ANEW) == Resumption(100, 100, "beyond_retention")


def test_a_topic_with_more_partitions_is_refused_with_the_way_out():
    before = replace(state(300), log=HERE)

    with pytest.raises(LogChangedError, match=r"had 3 partitions and has 4.*--rewarm"):
        resumption(before, 300, LOG, OURS, RULES, log=MORE)
    again = replace(RULES, repartitioned=True)
    assert resumption(before, 320, LOG, OURS, again, log=MORE) == Resumption(270, 320, "repartitioned")
    assert resumption(before, None, LOG, OURS, again, log=MORE) == Resumption(250, 300, "repartitioned")


@pytest.mark.parametrize(
    ("saved", "committed", "log"),
    [(state(50), 60, None), (None, 60, None), (None, 800, None), (replace(state(300), log=HERE), 300, ANEW)],
)
def test_a_loss_is_met_as_the_operator_wants_it(saved, committed, log):
    latest = resumption(saved, committed, LOG, OURS, ResumeRules(on_loss="latest"), log=log)

    assert (latest.offset, latest.quiet, latest.reason) == (500, 500, "beyond_retention")
    with pytest.raises(LogChangedError, match="on_offset_loss is fail"):
        resumption(saved, committed, LOG, OURS, ResumeRules(on_loss="fail"), log=log)


def test_an_empty_topic_begins_at_its_first_offset():
    assert resumption(None, None, Bounds(0, 0), OURS, RULES) == Resumption(0, 0, "first_start")


def test_a_negative_replay_is_refused():
    with pytest.raises(ValueError, match=r"replay is -1.*0 or more"):
        ResumeRules(replay=-1)
    with pytest.raises(ValueError, match=r"backfill is -1.*0 or more"):
        ResumeRules(backfill=-1)
