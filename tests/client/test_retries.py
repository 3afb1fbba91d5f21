"""A client asks again what failed for a moment, once more than it must, and never does anything twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ncmix.client import ApiError, Client, UnreachableError, transport
from ncmix.client.transport import TRIES, rest
from tests.client.scripted import ENDED, RUNNING, Answer, Scripted, events, scripted

SPEC = {"dataset": "digits", "model": "mlp"}


@pytest.fixture
def script() -> Iterator[Scripted]:
    with scripted() as server:
        yield server


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client rested each time; it does not really."""
    seconds: list[float] = []
    monkeypatch.setattr(transport.time, "sleep", seconds.append)
    return seconds


@pytest.mark.parametrize("failure", [Answer(cut=True), Answer(502), Answer(503), Answer(504)])
def test_what_fails_for_a_moment_is_asked_again_under_one_key(script: Scripted, slept: list[float], failure: Answer):
    script.answers += [failure, failure, Answer(201, RUNNING)]
    with Client(script.url) as client:
        assert client.submit(SPEC).state == "running"
    assert len({asked.headers["idempotency-key"] for asked in script.asked}) == 1
    assert len(script.asked) == 3
    assert 0 < slept[0] < slept[1]


def test_a_service_that_says_when_is_believed(script: Scripted, slept: list[float]):
    in_flight = Answer(409, {}, {"Retry-After": "3"})
    script.answers += [Answer(429, {}, {"Retry-After": "7"}), in_flight, Answer(200, RUNNING)]
    with Client(script.url) as client:
        client.submit(SPEC)
    assert slept == [7.0, 3.0]


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 500, 507])
def test_a_refusal_is_final(script: Scripted, slept: list[float], status: int):
    script.answers += [Answer(status, {"detail": "No."}, {"Content-Type": "application/problem+json"})]
    with Client(script.url) as client, pytest.raises(ApiError, match=rf"The service refused \({status}\): No\."):
        client.submit(SPEC)
    assert (len(script.asked), slept) == (1, [])


LOGIN = Answer(200, "<h1>Log in</h1>", {"Content-Type": "text/html"})


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (LOGIN, "is text/html"),
        (Answer(302, "", {"Location": "https://sso/"}), "sends to https://sso/"),
        (Answer(200, []), "is application/json, but no JSON object"),
    ],
)
def test_what_answers_but_is_no_such_service_is_said(script: Scripted, slept: list[float], answer: Answer, why: str):
    script.answers += [answer] * 2
    with Client(script.url) as client:
        with pytest.raises(UnreachableError, match=rf"No ncmix answers at http.*experiments\?rerun=false {why}\."):
            client.submit(SPEC)
        with pytest.raises(UnreachableError, match=rf"vocabulary {why}\."):
            client.vocabulary()
    assert slept == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"hello": "world"}, "has no 'created_at'"),
        ({**RUNNING, "created_at": 7}, "reads otherwise: "),
        ({name: value for name, value in RUNNING.items() if name != "epochs"}, "reads otherwise: .*'epochs'"),
    ],
)
def test_an_object_of_some_other_service_is_said_to_be_one(script: Scripted, answer: dict[str, Any], why: str):
    script.answers += [Answer(200, answer)]
    with (
        Client(script.url) as client,
        pytest.raises(UnreachableError, match=f"of another version: an answer {why}"),
    ):
        client.experiment("0" * 20)
    script.answers += [Answer(200, {"results": []})] * 3
    with Client(script.url) as client:
        for ask in (lambda: client.experiment("0"), lambda: list(client.experiments()), client.presets):
            with pytest.raises(UnreachableError, match="has no 'items'"):
                ask()


def test_a_login_page_is_no_picture_no_file_no_log_and_no_deletion(script: Scripted, tmp_path: Path):
    script.answers += [Answer(200, ENDED), *[LOGIN] * 5]
    with Client(script.url) as client:
        experiment = client.experiment("0" * 20)
        for ask in (
            lambda: experiment.plot("nc"), experiment.features, lambda: experiment.export(tmp_path / "x.zip"),
            experiment.log, experiment.delete,
        ):  # fmt: skip
            with pytest.raises(UnreachableError, match="is text/html"):
                ask()
    assert not list(tmp_path.iterdir())


def test_it_gives_up_in_the_end(slept: list[float]):
    with (
        Client("http://127.0.0.1:9") as client,
        pytest.raises(UnreachableError, match=r":9 does not answer"),
    ):
        client.submit(SPEC)
    assert len(slept) == TRIES - 1
    assert sum(slept) < 3


def test_a_deletion_whose_answer_was_lost_is_done(script: Scripted, slept: list[float]):
    script.answers += [Answer(200, ENDED), Answer(cut=True), Answer(404, {})]
    with Client(script.url) as client:
        client.experiment("0" * 20).delete()
    assert [asked.method for asked in script.asked] == ["GET", "DELETE", "DELETE"]


def test_rests_grow_to_an_end_and_are_never_the_same():
    error = UnreachableError("")
    rests = [rest(tried, error) or 0 for tried in range(1, 30)]
    assert rests[0] < 0.4
    assert max(rests) < 7
    assert len(set(rests)) == len(rests)
    assert rest(1, ApiError(404, {})) is None


def test_a_broken_stream_goes_on_behind_its_last_message(script: Scripted, slept: list[float]):
    script.answers += [
        Answer(200, RUNNING),
        events(("experiment", RUNNING, "1.0.0"), ("log", {"offset": 0, "text": "a"}, "1.0.1")),
        Answer(cut=True),
        Answer(502),
        events(("experiment", ENDED, "2.0.1"), ("end", {"state": "succeeded", "reason": None}, "2.0.1")),
    ]
    with Client(script.url) as client:
        found = list(client.experiment("0" * 20).stream())
    assert [(m.kind, m.id) for m in found] == [
        ("experiment", "1.0.0"), ("log", "1.0.1"), ("experiment", "2.0.1"), ("end", "2.0.1")
    ]  # fmt: skip
    assert [asked.headers.get("last-event-id") for asked in script.asked[1:]] == [None, *["1.0.1"] * 3]


def test_where_streams_do_not_come_through_it_asks(script: Scripted, slept: list[float]):
    html = Answer(200, "<html>", {"Content-Type": "text/html"})
    script.answers += [Answer(200, RUNNING), html, Answer(200, RUNNING), Answer(503), Answer(200, ENDED)]
    with Client(script.url) as client:
        assert client.experiment("0" * 20).wait(timeout=30).succeeded
    assert [asked.path.rpartition("/")[2] for asked in script.asked] == ["0" * 20, "stream", *["0" * 20] * 3]


def test_one_that_is_deleted_while_it_is_awaited_is_an_error(script: Scripted):
    gone = ("end", {"state": "deleted", "reason": None}, "1.0.0")
    script.answers += [Answer(200, RUNNING), events(("experiment", RUNNING, "1.0.0"), gone)]
    with Client(script.url) as client, pytest.raises(ApiError, match="was deleted"):
        client.experiment("0" * 20).wait(timeout=30)


def test_patience_ends(script: Scripted):
    script.answers += [Answer(200, RUNNING), Answer(503)]
    with Client(script.url) as client:
        waiting = client.experiment("0" * 20)
        with pytest.raises(ApiError, match="503"):
            list(client.follow([waiting], patience=0.0))


def test_waiting_has_an_end(script: Scripted):
    script.answers += [Answer(200, RUNNING), events(("experiment", RUNNING, "1.0.0")), *[Answer(cut=True)] * 100]
    with Client(script.url) as client, pytest.raises(TimeoutError, match=r"has not ended within 0\.2 s"):
        client.experiment("0" * 20).wait(timeout=0.2)


def test_a_key_and_an_address_come_from_the_environment(script: Scripted, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NCMIX_URL", f"{script.url}/")
    monkeypatch.setenv("NCMIX_API_KEY", "ncmix_x")
    script.answers += [Answer(200, RUNNING)]
    with Client() as client:
        client.experiment("0" * 20)
    assert script.asked[0].headers["authorization"] == "Bearer ncmix_x"
