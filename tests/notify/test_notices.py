"""What an alert becomes for Alertmanager, a webhook and a reader of CloudEvents."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace

import pytest

from pipeline.formats import alerts
from pipeline.notify.notices import for_alertmanager, labels_of, notice_of, signature, webhook_headers
from pipeline.service.outputs import alert_message
from pipeline.service.ports import Partition
from tests.monitor.test_mutes import PLAIN

WHERE = Partition("alerts", 2)


def noticed(alert, headers=None):
    message = alert_message("alerts", alert)
    return notice_of(WHERE, 7, message.value, message.headers if headers is None else headers)


def test_an_alert_is_read_back_from_its_topic():
    found = noticed(PLAIN[0])

    assert found.alert == json.loads(alerts.encode(PLAIN[0]))
    assert (found.partition, found.offset, found.body) == (WHERE, 7, alerts.encode(PLAIN[0]))


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"{}", b'{"id": 3}', b'"text"', b"\xff"])
def test_what_is_no_alert_is_none(value):
    assert notice_of(WHERE, 7, value, ()) is None


def test_an_event_has_the_attributes_that_cloudevents_needs_and_one_id_for_every_copy():
    headers = dict(alert_message("alerts", PLAIN[0]).headers)

    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_type"] == b"plumbline.incident.raised"
    assert headers["ce_source"] == b"/plumbline/detector"
    assert headers["ce_subject"] == b"pump"
    assert headers["ce_time"] == json.loads(alerts.encode(PLAIN[0]))["at"].encode()
    assert headers["content-type"] == b"application/json"
    ids = [dict(alert_message("alerts", alert).headers)["ce_id"] for alert in PLAIN]
    assert len(set(ids)) == len(PLAIN)
    assert alert_message("alerts", PLAIN[0]).headers == alert_message("alerts", PLAIN[0]).headers


def test_the_source_is_a_reference_whatever_the_name_and_an_index_clock_has_no_time():
    headers = dict(alerts.cloud_event(replace(PLAIN[0], detector="a b/ü", clock="index")))

    assert headers["ce_source"] == b"/plumbline/a%20b%2F%C3%BC"
    assert "ce_time" not in headers


def test_without_headers_an_event_is_named_all_the_same():
    assert noticed(PLAIN[0], headers=()).event_id == f"{PLAIN[0].id}-raised-{noticed(PLAIN[0]).alert['at']}"


def test_labels_are_those_that_alerts_are_routed_by_and_the_same_when_it_is_over():
    raised, cleared = noticed(PLAIN[0]).alert, noticed(PLAIN[-1]).alert

    assert labels_of(raised) == {
        "alertname": "PlumblineAnomaly",
        "severity": raised["severity"],
        "detector": "detector",
        "series": "pump",
    }
    assert labels_of({**raised, "kind": "silent"})["alertname"] == "PlumblineSilent"
    assert labels_of({**cleared, "severity": raised["severity"]}) == labels_of(raised)


def test_declared_labels_are_labels_and_cannot_take_the_place_of_ours():
    alert = {**noticed(PLAIN[0]).alert, "labels": {"site": "north", "severity": "none", "line": 3}}

    assert labels_of(alert)["site"] == "north"
    assert labels_of(alert)["line"] == "3"
    assert labels_of(alert)["severity"] == alert["severity"]


def test_a_group_is_one_alert_whichever_member_told_of_it():
    alert = {**noticed(PLAIN[0]).alert, "group": {"id": "g", "labels": {"site": "north"}, "joined": 2, "open": 1}}

    assert labels_of(alert) == labels_of({**alert, "series": "another"})
    assert labels_of(alert)["site"] == "north"


def test_alertmanager_is_told_since_when_and_until_when():
    alert = noticed(PLAIN[0]).alert
    told = for_alertmanager(alert, {"a": "b"}, 1_700_000_000.25)

    assert told["labels"] == {"a": "b"}
    assert told["startsAt"] == alert["start"]
    assert told["endsAt"] == "2023-11-14T22:13:20.250Z"
    assert told["annotations"]["summary"] == alert["sentence"]
    assert "startsAt" not in for_alertmanager({**alert, "start": 17}, {}, 0.0)


def test_a_signature_is_that_of_standard_webhooks():
    """The example of its specification's reference libraries."""
    secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'

    assert signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_a_plain_secret_is_the_key_itself():
    signed = hmac.new(b"plain", b"id.5.body", hashlib.sha256).digest()

    assert signature("plain", "id", 5, b"body") == f"v1,{base64.b64encode(signed).decode()}"


def test_a_request_has_the_headers_of_both_and_nothing_that_no_header_takes():
    notice = noticed(replace(PLAIN[0], series="pump ü\r\n100 %"))
    headers = webhook_headers(notice, "s", 5.9)

    assert headers["ce-type"] == "plumbline.incident.raised"
    assert headers["ce-subject"] == "pump %C3%BC%0D%0A100 %25"
    assert headers["webhook-id"] == notice.event_id == headers["ce-id"]
    assert headers["webhook-timestamp"] == "5"
    assert headers["webhook-signature"] == signature("s", notice.event_id, 5, notice.body)
    assert "webhook-signature" not in webhook_headers(notice, None, 5.9)
    assert all(text.isascii() and text.isprintable() for text in headers.values())
