"""The courier: everything once and in order, again where nobody knows, and never before it was delivered."""

import json

import pytest
from prometheus_client import CollectorRegistry

from pipeline.exceptions import RefusedError, UndeliveredError
from pipeline.notify.channels import Alertmanager
from pipeline.notify.courier import Courier
from pipeline.notify.figures import Figures
from pipeline.service.outputs import alert_message
from pipeline.service.ports import Partition
from tests.monitor.test_mutes import PLAIN
from tests.service.memory import MemoryClock, MemorySource, MemoryStop, PowerCutError, World

ONE, TWO = Partition("alerts", 0), Partition("alerts", 1)


class Told:
    """A channel that notes what it was told, and fails as long as it is asked to."""

    remembers = False

    def __init__(self):
        self.delivered, self.learnt, self.forgotten, self.failing, self.after = [], [], [], 0, 0.0
        self.refusing = set()

    def learn(self, notice):
        self.learnt.append(notice.event_id)

    def deliver(self, notice, now):
        if self.failing:
            self.failing -= 1
            raise UndeliveredError("down", self.after)
        if notice.event_id in self.refusing:
            raise RefusedError("never")
        self.delivered.append(notice.event_id)

    def keep_up(self, now):
        """Nothing."""

    def forget(self, partition):
        self.forgotten.append(partition)


def publish(world, alert, number=0, value=None):
    message = alert_message("alerts", alert)
    world.publish("alerts", number, message.key, message.value if value is None else value, message.headers)


def event_ids(alerts):
    return [dict(alert_message("alerts", alert).headers)["ce_id"].decode() for alert in alerts]


class Bench:
    """A courier in a world, for as long as there is something to deliver."""

    def __init__(self, world, channel, **options):
        self.world, self.channel, self.registry = world, channel, CollectorRegistry()
        clock = MemoryClock(world)
        self.sources = []

        def connect():
            self.sources.append(MemorySource(world, ["alerts"]))
            return self.sources[-1]

        def before(partition, below):
            return world.logs[partition][world.bounds(partition)[0] : below]

        self.courier = Courier(
            "told", channel, connect, before, clock, Figures(self.registry, clock, ["told"]), **options
        )

    def run(self, seconds=600.0):
        end = self.world.seconds + seconds
        self.courier.run(MemoryStop(self.world, lambda: self.world.seconds >= end))

    def counted(self, result):
        return self.registry.get_sample_value("plumbline_notifications_total", {"channel": "told", "result": result})


@pytest.fixture
def world():
    """The events of one incident and more, a few in each of two partitions."""
    made = World()
    for row, alert in enumerate(PLAIN * 3):
        publish(made, alert, row % 2)
    return made


@pytest.fixture
def told():
    return Told()


def in_log(world, partition):
    return [dict(entry.headers)["ce_id"].decode() for entry in world.logs[partition]]


def test_everything_is_delivered_in_the_order_of_its_partition(world, told):
    bench = Bench(world, told, from_start=True)
    bench.run()

    assert sorted(told.delivered) == sorted(in_log(world, ONE) + in_log(world, TWO))
    for partition in (ONE, TWO):
        assert world.committed[partition] == len(world.logs[partition])
    assert bench.counted("delivered") == len(told.delivered)
    assert bench.sources[-1].closed


def test_a_first_start_begins_with_what_comes_and_knows_its_place_from_then_on(world, told):
    Bench(world, told).run(5)
    assert told.delivered == []
    publish(world, PLAIN[0])
    Bench(world, told).run(5)

    assert told.delivered == event_ids(PLAIN[:1])


def test_a_channel_that_is_down_is_tried_again_and_loses_nothing(world, told):
    told.failing = 5
    bench = Bench(world, told, from_start=True)
    bench.run()

    assert sorted(told.delivered) == sorted(in_log(world, ONE) + in_log(world, TWO))
    assert bench.counted("retried") == 5


def test_it_is_tried_again_after_longer_and_longer_pauses_of_a_minute_at_most(world, told):
    told.failing = 10**6
    bench = Bench(world, told, from_start=True)
    bench.run(1 + 2 + 4 + 8 + 16 + 32 + 60 * 3 + 10)

    assert bench.counted("retried") == 10
    assert world.committed == {ONE: 0, TWO: 0}
    assert bench.courier is not None
    ready, why = bench.courier._figures.ready()
    assert (ready, why) == (False, "nothing delivered for a minute: told")


def test_an_answer_may_ask_for_a_longer_pause(world, told):
    told.failing, told.after = 1, 200.0
    bench = Bench(world, told, from_start=True)
    bench.run(190)
    assert told.delivered == []
    bench = Bench(world, told)
    bench.run(190)

    assert told.delivered


def test_what_is_refused_is_left_out_and_counted(world, told):
    told.refusing = set(event_ids(PLAIN[:1]))
    bench = Bench(world, told, from_start=True)
    bench.run()

    assert bench.counted("refused") == 3
    assert world.committed[ONE] == len(world.logs[ONE])


def test_what_is_no_alert_is_passed_over_and_counted(told):
    world = World()
    for value in (b"{", b"[]", None, json.dumps({"id": "x"}).encode()):
        world.publish("alerts", 0, b"k", value)
    publish(world, PLAIN[0])
    bench = Bench(world, told, from_start=True)
    bench.run()

    assert bench.counted("unreadable") == 4
    assert told.delivered == event_ids(PLAIN[:1])


@pytest.mark.parametrize("step", ["poll", "before commit", "commit"])
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_power_cut_at_any_step_loses_nothing_and_repeats_what_was_not_committed(world, told, step, count):
    world.cut_at[step] = count
    bench = Bench(world, told, from_start=True)
    try:
        bench.run()
    except PowerCutError:
        world.cut_at.clear()
    before = dict(world.committed)
    at_the_cut = list(told.delivered)
    Bench(world, told, from_start=True).run()

    wanted = in_log(world, ONE) + in_log(world, TWO)
    assert set(told.delivered) == set(wanted)
    again = told.delivered[len(at_the_cut) :]
    rest = [event for partition in (ONE, TWO) for event in in_log(world, partition)[before.get(partition, 0) :]]
    assert sorted(again) == sorted(rest)


def test_an_outage_of_the_broker_is_waited_for(world, told):
    bench = Bench(world, told, from_start=True)
    world.down = True
    bench.run(30)
    assert told.delivered == []
    world.down = False
    bench.run()

    assert len(told.delivered) == len(PLAIN) * 3


def test_what_retention_deleted_is_passed_over(world, told):
    Bench(world, told, from_start=True).run(0.1)
    world.committed |= {ONE: 0, TWO: 0}
    world.first = {ONE: 2}
    Bench(world, told).run()

    assert sorted(told.delivered) == sorted(in_log(world, ONE)[2:] + in_log(world, TWO))


def test_a_partition_that_goes_takes_what_is_in_hand_with_it(world, told):
    told.failing = 10**6
    bench = Bench(world, told, from_start=True)
    for _ in range(3):
        bench.courier.turn()
    bench.sources[-1].take_away(ONE)
    bench.courier.turn()
    told.failing = 0
    bench.run()

    assert sorted(told.delivered) == sorted(in_log(world, TWO))
    assert told.forgotten[0] == ONE
    assert world.committed[ONE] == 0


class Manager:
    """What an Alertmanager has been told, by labels."""

    def __init__(self, clock):
        self.clock, self.posts, self.down = clock, [], False

    def __call__(self, url, body, headers):
        if self.down:
            raise UndeliveredError("down")
        assert url == "http://a:9093/api/v2/alerts"
        self.posts.append(json.loads(body))

    def active(self):
        """Labels of what is active now."""
        ends = {}
        for alert in (alert for post in self.posts for alert in post):
            ends[tuple(sorted(alert["labels"].items()))] = alert["endsAt"]
        from pipeline.notify.notices import rfc3339

        return [labels for labels, end in ends.items() if end > rfc3339(self.clock.now())]


def test_alertmanager_is_told_again_of_what_is_open_until_it_is_over_also_after_a_restart():
    world = World()
    manager = Manager(MemoryClock(world))
    cleared = next(row for row, alert in enumerate(PLAIN) if alert.event == "cleared")
    for alert in PLAIN[:cleared]:
        publish(world, alert)
    Bench(world, Alertmanager("http://a:9093/", 60.0, manager), from_start=True).run(500)
    assert len(manager.active()) == 1
    assert len(manager.posts) > 500 / 60
    Bench(world, Alertmanager("http://a:9093", 60.0, manager)).run(500)  # it knows from the topic
    assert len(manager.active()) == 1
    publish(world, PLAIN[cleared])
    Bench(world, Alertmanager("http://a:9093", 60.0, manager)).run(100)
    before = len(manager.posts)
    Bench(world, Alertmanager("http://a:9093", 60.0, manager)).run(500)

    assert manager.active() == []
    assert len(manager.posts) == before


def test_alertmanager_is_told_of_a_higher_severity_as_another_alert():
    world = World()
    manager = Manager(MemoryClock(world))
    raised = PLAIN[0]
    channel = Alertmanager("http://a:9093", 60.0, manager)
    publish(world, raised)
    value = json.loads(alert_message("alerts", raised).value)
    publish(world, raised, value=json.dumps({**value, "event": "updated", "severity": "critical"}).encode())
    Bench(world, channel, from_start=True).run(5)
    (labels,) = manager.active()
    assert ("severity", "critical") in labels
    publish(world, raised, value=json.dumps({**value, "event": "cleared", "severity": "critical"}).encode())
    Bench(world, channel).run(5)

    assert manager.active() == []
