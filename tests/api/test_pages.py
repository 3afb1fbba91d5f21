"""Pages as they are sent: escaped, with nothing inline, and an error as a page for browsers alone."""

import html
import re
from html.parser import HTMLParser

import pytest
from fastapi.testclient import TestClient

from api.web.sweeps import shades
from ncmix.jobs.states import Reason
from tests.api.lives import Lives

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
TITLE = '<script>alert(1)</script> & "quoted"'


class Inline(HTMLParser):
    """Collects what a strict policy forbids: scripts and styles in the page, handlers and styles in attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        inline = tag == "style" or (tag == "script" and "src" not in names)
        if inline or any(name == "style" or name.startswith("on") for name in names):
            self.found.append(self.get_starttag_text() or tag)


def page(client: TestClient, address: str, status: int = 200) -> str:
    """A page, after making sure that it holds nothing inline and asks for nothing from elsewhere."""
    answer = client.get(address, headers=BROWSER)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert re.findall(r"(\S+) 'unsafe-[a-z]+'", policy) == ["style-src-attr"]
    assert not Inline(answer.text).found
    assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', answer.text)
    return answer.text


def test_what_users_wrote_is_shown_as_it_is(client: TestClient, lives: Lives):
    experiment = lives.done(epochs=2, probed=(2,), name=TITLE, tags=("a=b",))
    for address in ("/", f"/experiments/{experiment}", f"/compare?id={experiment}", f"/new?from={experiment}"):
        text = page(client, address)
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; " in text
    assert 'href="/?tag=a%3Db"' in page(client, "/")


def test_an_experiment_that_failed_says_why(client: TestClient, lives: Lives):
    failed = lives.fail(lives.running(epochs=1), Reason("oom", "Too <large> for the device."))
    text = page(client, f"/experiments/{failed}")
    assert "Too &lt;large&gt; for the device." in text
    assert re.findall(r'data-post="[^"]*/([a-z]+)"', text) == ["retry"]
    assert f'data-delete="/api/v1/experiments/{failed}"' in text


@pytest.mark.parametrize(
    ("state", "verbs"),
    [("queued", ["pause", "cancel"]), ("running", ["pause", "cancel"]), ("succeeded", []), ("cancelled", ["retry"])],
)
def test_only_what_is_possible_is_offered(client: TestClient, lives: Lives, state: str, verbs: list[str]):
    experiment = lives.done(epochs=1) if state == "succeeded" else lives.queued()
    if state == "running":
        client.post(f"/api/v1/experiments/{experiment}/cancel")
        experiment = lives.running(seed=1).experiment_id
    if state == "cancelled":
        client.post(f"/api/v1/experiments/{experiment}/cancel")
    text = page(client, f"/experiments/{experiment}")
    assert f'data-state="{state}"' in text
    assert re.findall(r'data-post="[^"]*/([a-z]+)"', text) == verbs
    for verb in verbs:
        answer = client.post(f"/api/v1/experiments/{experiment}/{verb}")
        assert answer.status_code in (201, 202)


def test_lists_are_filtered_and_paged(client: TestClient, lives: Lives):
    for seed in range(3):
        lives.done(seed, epochs=1, name=f"run {seed}", tags=("odd",) if seed % 2 else ())
    assert re.findall(r">(run \d)</a>", page(client, "/?state=&tag=odd&order=newest")) == ["run 1"]
    text, seen = page(client, "/?limit=2"), []
    while following := re.search(r'rel="next" href="([^"]*)"', text):
        seen += re.findall(r">(run \d)</a>", text)
        text = page(client, following[1].replace("&amp;", "&"))
    assert seen + re.findall(r">(run \d)</a>", text) == ["run 2", "run 1", "run 0"]
    assert "No experiment is like that" in page(client, "/?state=failed")


def test_an_empty_service_says_how_to_begin(client: TestClient):
    assert "Nothing here yet" in page(client, "/")
    assert "Choose experiments" in page(client, "/compare")


def test_a_comparison_shows_what_differs_and_what_came_out(client: TestClient, lives: Lives):
    ids = [lives.done(0, epochs=2), lives.done(1, epochs=2, mix={"kind": "mixup", "alpha": 0.5})]
    text = page(client, "/compare?" + "&".join(f"id={i}" for i in ids) + "&group_by=mix.kind&plot=nc")
    head = text[text.index("<thead>") : text.index("</thead>")]
    assert re.findall(r"<code>([a-z_.]+)</code>", head) == ["mix.kind", "seed", "mix.alpha", "mix.lam", "mix.pairs"]
    assert f"/api/v1/compare/plots/nc.csv?ids={ids[0]},{ids[1]}&amp;group_by=mix.kind" in text
    assert text.count('<figure class="plot"') == 1
    apart = page(client, "/compare?" + "&".join(f"id={i}" for i in ids) + "&how=apart&plot=nc&plot=gram")
    assert apart.count('<figure class="plot"') == 4


def test_figures_are_arranged_for_the_page(client: TestClient, lives: Lives):
    experiment = lives.done(epochs=2, probed=(2,))
    wide, narrow = (client.get(f"/figures/gram?ids={experiment}&window={n}") for n in (1200, 400))
    assert len({axis["domain"][0] for name, axis in narrow.json()["layout"].items() if name.startswith("xaxis")}) == 1
    assert wide.json()["layout"]["height"] < narrow.json()["layout"]["height"]
    again = client.get(f"/figures/gram?ids={experiment}&window=1200", headers={"If-None-Match": wide.headers["etag"]})
    assert again.status_code == 304
    assert "no neural-collapse metric" in client.get(f"/figures/nc?ids={lives.queued(1)}").json()["empty"]
    assert client.get(f"/figures/nothing?ids={experiment}").status_code == 404


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/nothing", 404, "There is nothing at /nothing"),
        ("/experiments/0123456789abcdef0123", 404, "There is no experiment"),
        ("/experiments/<b>", 404, "There is no experiment"),
        ("/?state=lost", 422, "must be"),
        ("/?cursor=x", 422, "is not a cursor"),
        ("/new?preset=none", 404, "There is no preset"),
        ("/new?preset=digits-mixup&run=3", 404, "it has 1 to 2"),
        ("/new/check", 405, "allowed is POST"),
        ("/compare?id=x", 404, "There is no experiment"),
    ],
)
def test_an_error_is_a_page_for_a_browser_and_a_problem_for_everybody_else(client, address, status, words):
    assert words in page(client, address, status)
    for accept in ("*/*", "application/json"):
        answer = client.get(address, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert "Accept" in answer.headers["vary"]


def test_the_presets_lead_into_the_form(client: TestClient):
    text = page(client, "/presets?scale=small")
    assert "/new?preset=digits-mixup&amp;scale=small&amp;run=2" in text
    assert 'value="digits · mixup"' in page(client, "/new?preset=digits-mixup&scale=small&run=2")


def test_the_form_is_judged_while_it_is_written(client: TestClient):
    said = client.post("/new/check", json={"dataset": "digits", "model": "mlp", "epochs": "-3", "seed": "x"}).json()
    assert {w["path"] for w in said["wrong"]} == {"epochs", "seed"}
    assert "-3 must be greater than or equal to 1" in said["wrong"][0]["detail"]
    said = client.post("/new/check", json={"dataset": "image_folder", "dataset.name": "pets", "model": "mlp"}).json()
    assert [w["path"] for w in said["wrong"]] == ["dataset.name"]
    said = client.post("/new/check", json={"dataset": "digits", "model": "mlp", "epochs": "5"}).json()
    assert said["wrong"] == []
    assert "60 steps" in said["facts"]
    assert "curl -X POST http://localhost/api/v1/experiments" in said["snippets"]["curl"]


def test_files_have_the_version_in_their_address(client: TestClient):
    style = re.search(r'href="([^"]+style\.css)"', page(client, "/"))
    assert style is not None
    answer = client.get(style[1])
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert client.get("/assets/web/000000000000/style.css").status_code == 404
    assert client.get(style[1].replace("style.css", "..%2Fapp.py")).status_code == 404


def test_a_sweep_is_a_heat_map_and_a_table(client: TestClient, lives: Lives):
    base = {"dataset": "digits", "model": "mlp", "epochs": 2}
    grid = {"loss": ["mse", "cross_entropy"], "mix": ["none", "mixup"]}
    sweep = client.post("/api/v1/sweeps", json={"name": "<b>", "base": base, "grid": grid, "seeds": 2}).json()["id"]
    for number in range(3):
        lives.finish(lives.next(epochs=2 + number))
    text = page(client, f"/sweeps/{sweep}?metric=nc1&split=train&rows=loss&columns=mix")
    assert "&lt;b&gt;" in page(client, "/sweeps")
    assert re.findall(r'<a class="state (\w+)" [^>]*>(\d) ', text) == [("queued", "5"), ("succeeded", "3")]
    heat = text[text.index('<table class="heat">') : text.index("</table>")]
    shown = re.findall(r'<td(?: class="shade(\d)")?>(.+?)</td>', heat)
    # Two seeds of 4/2 and 4/3; one of 4/4; nothing yet of the others.
    assert shown == [("9", "1.667 <small>± 0.47</small>"), ("0", "1"), ("", "·"), ("", "·")]
    assert "does not vary" in page(client, f"/sweeps/{sweep}?rows=epochs", 422)
    assert client.get(f"/figures/nc?sweep={sweep}").json()["data"]
    assert "There is no sweep" in page(client, "/sweeps/0123456789abcdef0123", 404)


def test_shades_tell_values_apart():
    assert shades([[1.0, 2.0, 3.0]]) == [[0, 4, 9]]
    assert shades([[0.001, 0.1, 10.0]]) == [[0, 4, 9]]
    assert shades([[2.0, 2.0], [None, None]]) == [[0, 0], [None, None]]
    assert shades([[None]]) == [[None]]


def test_a_sweep_is_read_while_it_is_written(client: TestClient):
    written = "base: {dataset: digits, model: mlp}\ngrid: {mix: [none, mixup]}\nseeds: 3"
    said = client.post("/sweeps/read", json={"text": written}).json()
    assert said["facts"][0] == "6 cells: 6 new, 0 on record"
    assert client.post("/api/v1/sweeps", json=said["definition"]).status_code == 201
    for wrong, words in (("base: {", "not YAML"), ("base: {}", "dataset"), ("grids: 1", "no such field")):
        assert words in " ".join(client.post("/sweeps/read", json={"text": wrong}).json()["wrong"])


def test_the_reference_shows_every_address_with_its_examples(client: TestClient):
    text, document = page(client, "/docs"), client.get("/openapi.json").json()
    for path, methods in document["paths"].items():
        assert f"<code>{path}</code>" in text
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in text
    assert set(document["components"]["schemas"]) <= set(re.findall(r'<div id="(\w+)">', text))
    # Each model that is named can be followed, and so can each of the links above.
    assert set(re.findall(r'href="#([\w-]+)"', text)) - {"main"} <= set(re.findall(r'id="([\w-]+)"', text))
    assert "curl -X POST http://localhost/api/v1/experiments \\\n" in text
    assert "/api/v1/experiments/0193b2a4f1c07d1e9a3c/plots/nc.png" in text
    # A picture of several is of none unless they are named.
    assert "/compare/plots/nc.png?ids=0193b2a4f1c07d1e9a3c,0193b2a4f1c19b22c4d0" in html.unescape(text)
