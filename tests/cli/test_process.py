import logging
import os
import signal

from pipeline.cli.process import Facts, Hangup, Seldom, Signals, SystemClock


def line_of(message, name="plumbline.service", **facts):
    record = logging.LogRecord(name, logging.INFO, "", 0, message, (), None)
    record.created = 1_700_000_000.5
    record.facts = facts
    return Facts().format(record)


def test_a_line_of_the_log_has_its_facts_as_fields():
    assert line_of("committed", readings=7, flush_ms=0) == (
        "2023-11-14T22:13:20.500Z INFO committed readings=7 flush_ms=0"
    )


def test_a_fact_of_several_words_stands_in_quotes_and_on_one_line():
    assert line_of("not committed", reason='no "space"\nleft', empty="") == (
        r'2023-11-14T22:13:20.500Z INFO not committed reason="no \"space\"\nleft" empty=""'
    )


def test_what_a_library_logs_is_told_with_its_name():
    assert line_of("join", name="kafka.coordinator").endswith("INFO kafka.coordinator: join")


def test_the_first_signal_asks_and_ends_a_wait():
    before = signal.getsignal(signal.SIGTERM)
    with Signals() as signals:
        assert not signals.asked()

        os.kill(os.getpid(), signal.SIGTERM)
        signals.wait(60.0)

        assert signals.asked()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_hangup_is_told_once_and_ends_nothing():
    before = signal.getsignal(signal.SIGHUP)
    with Hangup() as hangup:
        assert not hangup.came()

        os.kill(os.getpid(), signal.SIGHUP)

        assert hangup.came()
        assert not hangup.came()
    assert signal.getsignal(signal.SIGHUP) is before


def test_the_clock_goes_forward():
    clock = SystemClock()

    assert clock.monotonic() <= clock.monotonic()
    assert clock.now() > 1_700_000_000


def test_a_library_says_the_same_thing_once_a_minute_and_we_whenever_it_happens():
    seldom = Seldom()

    def seen(name, message, seconds):
        record = logging.LogRecord(name, logging.ERROR, "", 0, message, (), None)
        record.created = 1_700_000_000.0 + seconds
        return seldom.filter(record)

    assert [seen("kafka.net", "Connection failed: ECONNREFUSED", seconds) for seconds in (0, 1, 59, 61)] == [
        *(True, False, False),
        True,
    ]
    assert seen("kafka.net", "Authentication failed", 2)
    assert all(seen("plumbline.service", "not committed", seconds) for seconds in (0, 1))
