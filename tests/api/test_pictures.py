"""Pictures by address: every format, one experiment or several, and nothing drawn twice for who has it already."""

import pytest
from fastapi.testclient import TestClient

from api.pictures import LIMIT, Pictures
from ncmix.plots import PLOTS
from tests.api.lives import Lives

HERE = "/api/v1/experiments"
STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
TYPES = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}


def test_every_plot_is_there_in_every_format(client: TestClient, lives: Lives):
    experiment = lives.done(epochs=2, probed=(1, 2))
    plots = client.get(f"{HERE}/{experiment}/plots").json()["items"]
    assert [plot["name"] for plot in plots] == list(PLOTS)
    assert [plot["epochs"] for plot in plots] == [None, None, [1, 2]]
    for plot in plots:
        for kind, address in plot["files"].items():
            answer = client.get(address)
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"].split(";")[0] == TYPES[kind]
            assert answer.content.startswith(STARTS[kind])


def test_a_picture_is_drawn_again_only_when_data_came(client: TestClient, lives: Lives):
    lease = lives.running(epochs=1)
    here = f"{HERE}/{lease.experiment_id}/plots/nc.svg"
    first = client.get(here)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for known in (tag, f'"other", W/{tag}', "*"):
        same = client.get(here, headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert client.get(here).content == first.content
    lives.record(lease, 2)
    new = client.get(here, headers={"If-None-Match": tag})
    assert new.status_code == 200
    assert new.headers["etag"] != tag
    assert new.content != first.content


def test_epoch_and_theme_change_the_picture(client: TestClient, lives: Lives):
    here = f"{HERE}/{lives.done(epochs=3, probed=(1, 3))}/plots/last-layer.png"
    answers = [client.get(here, params=p) for p in ({}, {"epoch": 1}, {"theme": "dark"}, {"epoch": 3})]
    assert len({a.headers["etag"] for a in answers}) == 4
    assert len({a.content for a in answers}) == 3, "epoch 3 is the last"


def test_several_experiments_are_drawn_together_in_the_order_asked_for(client: TestClient, lives: Lives):
    a, b = lives.done(0, name="first", probed=(3,)), lives.done(1, name="second", probed=(3,))
    for name in PLOTS:
        assert client.get(f"/api/v1/compare/plots/{name}.png", params={"ids": f"{a},{b}"}).status_code == 200
    there, back = (client.get("/api/v1/compare/plots/nc.svg", params={"ids": ids}) for ids in (f"{a},{b}", f"{b},{a}"))
    assert there.content != back.content


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("plots/last-layer.png?epoch=2", "no probe at epoch 2"),
        ("plots/last-layer.png?epoch=2", "there are probes at 1, 3."),
        ("plots/spectrum.png", "There is no plot 'spectrum'; there are nc, curves, last-layer."),
        ("plots/nc.gif", "There is no format 'gif' of a plot; there are png, svg, pdf."),
    ],
)
def test_what_cannot_be_drawn_is_404_with_what_there_is(client: TestClient, lives: Lives, address, sentence):
    answer = client.get(f"{HERE}/{lives.done(epochs=3, probed=(1, 3))}/{address}")
    assert answer.status_code == 404
    assert sentence in answer.json()["detail"]


def test_one_that_waits_has_no_picture_yet(client: TestClient, lives: Lives):
    experiment = lives.queued()
    assert "to draw yet" in client.get(f"{HERE}/{experiment}/plots/nc.png").json()["detail"]
    assert client.get(f"{HERE}/{experiment}/plots/last-layer.png").status_code == 404


@pytest.mark.parametrize(("ids", "status"), [("", 422), (",", 422), ("0" * 20, 404), ("abc", 404)])
def test_only_experiments_that_are_there_can_be_compared(client: TestClient, ids, status):
    answer = client.get("/api/v1/compare/plots/nc.png", params={"ids": ids})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_comparison_has_an_end(client: TestClient):
    ids = ",".join(f"{i:020x}" for i in range(21))
    answer = client.get("/api/v1/compare/plots/nc.png", params={"ids": ids})
    assert answer.status_code == 422
    assert "21 experiments are named; allowed are 1 to 20." in answer.text


@pytest.mark.parametrize("query", ["theme=sepia", "epoch=-1", "epoch=last", "size=3"])
def test_wrong_options_are_422(client: TestClient, lives: Lives, query):
    assert client.get(f"{HERE}/{lives.queued()}/plots/nc.png?{query}").status_code == 422


def test_pictures_kept_in_memory_stay_within_a_limit():
    pictures = Pictures()
    drawn: list[str] = []

    def draw(tag: str) -> bytes:
        drawn.append(tag)
        return bytes(LIMIT // 4)

    for tag in ("a", "b", "c", "a", "d", "e", "a", "b"):
        pictures.get(tag, lambda tag=tag: draw(tag))
    assert drawn == ["a", "b", "c", "d", "e", "b"], "the one not used for longest goes first"
