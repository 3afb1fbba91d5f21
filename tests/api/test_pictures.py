"""Pictures by address: every format, one experiment or several, and nothing drawn twice for who has it already."""

import re

import pytest
from fastapi.testclient import TestClient

from api.pictures import LIMIT, Pictures
from api.routes import plots
from ncmix.plots import PLOTS
from tests.api.lives import Lives

HERE = "/api/v1/experiments"
STARTS = {
    "png": b"\x89PNG",
    "svg": b"<?xml",
    "pdf": b"%PDF",
    "html": b"<!doctype html>",
    "json": b"{",
    "csv": b"panel,",
}
TYPES = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "html": "text/html",
    "json": "application/json",
    "csv": "text/csv",
}


def test_every_plot_is_there_in_every_format(client: TestClient, lives: Lives):
    experiment = lives.done(epochs=2, probed=(1, 2))
    listed = client.get(f"{HERE}/{experiment}/plots").json()["items"]
    assert [plot["name"] for plot in listed] == list(PLOTS)
    assert {plot["name"]: plot["epochs"] for plot in listed if plot["epochs"] != [1, 2]} == {"nc": None, "curves": None}
    for plot in listed:
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
        ("plots/pie.png", "There is no plot 'pie'; there are nc, curves, last-layer, "),
        ("plots/nc.gif", "There is no format 'gif' of a plot; there are png, svg, pdf, html, json, csv."),
        ("plots/gram.png?epoch=2", "at epoch 2 of"),
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


@pytest.mark.parametrize(
    "query",
    ["theme=sepia", "epoch=-1", "epoch=last", "size=3", "width=1", "dpi=5000", "classes=a", "epochs=1,,2", "split=all"],
)
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


@pytest.mark.parametrize(
    ("query", "sentence"),
    [("classes=0,7", "Class 7 was not mixed by the probe"), ("width=2", "The figure is too small for what is in it")],
)
def test_what_does_not_fit_is_422_in_a_sentence(client: TestClient, lives: Lives, query, sentence):
    answer = client.get(f"{HERE}/{lives.done(epochs=1, probed=(1,))}/plots/last-layer.png?{query}")
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]


def test_experiments_are_grouped_by_a_field_of_their_specs(client: TestClient, lives: Lives):
    ids = [lives.done(seed, mix={"kind": kind}) for seed, kind in enumerate(("none", "none", "mixup"))]
    ask = {"ids": ",".join(ids), "group_by": "mix.kind"}
    told = client.get("/api/v1/compare/plots/nc.json", params=ask).json()
    assert told["groups"] == ["none (2 runs)", "mixup (1 run)"]
    assert set(told["data"]["runs"]) == {2, 1}
    assert client.get("/api/v1/compare/plots/nc.png", params=ask).status_code == 200
    wrong = client.get("/api/v1/compare/plots/nc.png", params={**ask, "group_by": "mix.kin"})
    assert wrong.status_code == 422
    assert "has the field 'mix.kin'; there are batch_size, " in wrong.json()["detail"]


def test_grouped_more_can_be_compared_than_alone(client: TestClient):
    ids = ",".join(f"{i:020x}" for i in range(21))
    assert client.get("/api/v1/compare/plots/nc.png", params={"ids": ids, "group_by": "seed"}).status_code == 404
    many = ",".join(f"{i:020x}" for i in range(201))
    answer = client.get("/api/v1/compare/plots/nc.png", params={"ids": many, "group_by": "seed"})
    assert "201 experiments are named; allowed are 1 to 200." in answer.text


def test_numbers_are_whole_where_a_picture_of_many_points_is_thinned(
    client: TestClient, lives: Lives, monkeypatch: pytest.MonkeyPatch
):
    experiment = lives.done(epochs=250)
    monkeypatch.setattr(plots, "MOST_POINTS", 1)  # as if there were hundreds of curves
    whole = client.get(f"{HERE}/{experiment}/plots/nc.json").json()
    assert whole["note"] == ""
    assert (
        sum(key == ("nc1", "train") for key in zip(whole["data"]["panel"], whole["data"]["style"], strict=True)) == 250
    )
    page = client.get(f"{HERE}/{experiment}/plots/nc.html").text
    assert "every 3rd measured epoch" in page


def test_a_page_gets_its_script_here(client: TestClient, lives: Lives):
    page = client.get(f"{HERE}/{lives.done()}/plots/nc.html").text
    (address,) = re.findall(r'<script src="([^"]+)">', page)
    script = client.get(address)
    assert script.status_code == 200
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["content-encoding"] == "gzip"
    assert "plotly.js v" in script.text[:200]
    plain = client.get(address, headers={"Accept-Encoding": "identity"})
    assert plain.content == script.content
    assert client.get("/assets/plotly-0.0.0.min.js").status_code == 404
