"""The web page in a real browser: what people do with it, and that everybody can."""

import re
from itertools import combinations

import httpx2
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import TITLE, Site
from tests.servers import wait_for

pytestmark = pytest.mark.browser

POINTS = "name => document.querySelector(`figure[data-plot=${name}] .canvas`).data?.[0]?.x.length ?? 0"
PAINTED = "name => document.querySelectorAll(`figure[data-plot=${name}] .canvas.js-plotly-plot .trace`).length"
FITTED = "document.querySelector('.main-svg')?.clientWidth === document.documentElement.clientWidth"


def until(page: Page, count: str, plot: str, more_than: int) -> None:
    """Wait for more than so many parts of a plot. (Playwright's own waiting evaluates strings, which pages forbid.)"""
    wait_for(lambda: page.evaluate(count, plot) > more_than, f"More than {more_than} in {plot}", every=0.05)


def submitted(site: Site, **changes: object) -> str:
    """A small experiment, which the site's worker trains; gives its id."""
    spec = {"dataset": "digits", "model": {"kind": "mlp", "hidden": [8]}, "measure": {"epochs": [1]}, **changes}
    return httpx2.post(f"{site.url}/api/v1/experiments", json=spec).raise_for_status().json()["id"]


def test_from_the_form_to_the_last_epoch(page: Page):
    page.goto("/new")
    page.get_by_label("mix kind").select_option("mixup")
    page.get_by_label("alpha").fill("0.5")
    page.get_by_label("hidden").fill("16")
    page.get_by_label("epochs", exact=True).first.fill("20")
    page.get_by_text("name, tags, priority").click()
    page.get_by_label("name", exact=True).fill("<b>three</b>")
    expect(page.locator("#spec-title")).to_have_text("<b>three</b>")
    expect(page.locator("#verdict")).to_have_text("This can be run.")
    expect(page.locator("#facts")).to_contain_text("240 steps")
    page.get_by_role("button", name="Submit").click()

    page.wait_for_url("**/experiments/*")
    expect(page.get_by_role("heading", level=1)).to_have_text("<b>three</b>")
    # Nobody reloads: what follows arrives by itself.
    expect(page.locator("#state .state")).to_have_text("running")
    until(page, POINTS, "curves", more_than=0)
    some = page.evaluate(POINTS, "curves")
    until(page, POINTS, "curves", more_than=some)
    expect(page.locator("#state .state")).to_have_text("succeeded")
    expect(page.locator("#announced")).to_have_text("succeeded, epoch 20 of 20. All epochs are done: 20.")
    expect(page.locator("#log")).to_contain_text("epoch 20")
    expect(page.locator("#values")).to_contain_text("mix_amplification")
    until(page, POINTS, "curves", more_than=19)
    slider = page.locator("figure[data-plot=last-layer] input[type=range]")
    assert (slider.get_attribute("data-epochs") or "").endswith(",19,20")
    page.locator("figure[data-plot=last-layer]").scroll_into_view_if_needed()
    until(page, PAINTED, "last-layer", more_than=0)


def test_pause_cancel_and_delete_and_the_list_keeps_up(page: Page, site: Site):
    made = submitted(site, epochs=100_000)  # It does not end by itself.
    listed = page.context.new_page()
    listed.goto("/")
    box = listed.get_by_role("checkbox", name="Compare two")
    box.check()
    page.goto(f"/experiments/{made}")
    state, in_list = page.locator("#state .state"), listed.locator(f"#row-{made} .state")
    expect(state).to_have_text("running")
    expect(in_list).to_have_text("running")
    page.get_by_role("button", name="Pause").click()
    expect(state).to_have_text("paused")
    page.get_by_role("button", name="Cancel").click()
    expect(state).to_have_text("cancelled")
    expect(in_list).to_have_text("cancelled")
    expect(box).to_be_checked()
    expect(page.get_by_role("button", name="Retry")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    page.wait_for_url(f"{site.url}/")
    expect(page.locator(f"#row-{made}")).to_have_count(0)


def test_where_the_stream_is_refused_the_page_asks_again(context: BrowserContext, site: Site):
    page = context.new_page()  # Its console complains of the stream, as it should.
    page.route("**/stream?*", lambda route: route.fulfill(status=404, body=""))
    made = submitted(site, epochs=30)
    page.goto(f"/experiments/{made}")
    expect(page.locator("#state .state")).to_have_text("succeeded")
    expect(page.locator("#announced")).to_contain_text("epoch 30 of 30")
    expect(page.locator("#log")).to_contain_text("epoch 30")
    until(page, POINTS, "curves", more_than=29)


def test_what_has_succeeded_is_asked_to_be_trained_on(page: Page, site: Site):
    page.goto(f"/experiments/{site.mixed}")
    page.locator("summary", has_text="Extend").click()
    page.get_by_label("Epochs in all").fill("4")
    page.get_by_label("Changes").fill("schedule=constant name=longer")
    page.get_by_role("button", name="Train on").click()
    page.wait_for_url(lambda address: "/experiments/" in address and site.mixed not in address)
    expect(page.get_by_role("heading", level=1)).to_have_text("longer")
    expect(page.get_by_role("link", name=site.mixed)).to_be_visible()
    expect(page.locator("#state")).to_contain_text("/ 4")
    httpx2.post(f"{site.url}/api/v1/experiments/{page.url.rpartition('/')[2]}/cancel")  # Unless that comes too late.


def test_a_preset_is_run(page: Page, site: Site):
    page.goto("/presets?scale=small")
    page.get_by_role("button", name="Run 2 experiments of digits-mixup").click()
    page.wait_for_url(f"{site.url}/")
    rows = page.locator("tbody tr", has=page.locator(".state.queued, .state.running"))
    expect(rows).to_have_count(2)
    for row in rows.all():
        httpx2.post(f"{site.url}/api/v1/experiments/{(row.get_attribute('id') or '')[4:]}/cancel").raise_for_status()
    expect(page.locator("tbody .state.cancelled")).not_to_have_count(0)


def test_compare_what_was_chosen_in_the_list(page: Page, site: Site):
    page.goto("/")
    page.get_by_role("checkbox", name=f"Compare {TITLE}").check()
    page.get_by_role("checkbox", name="Compare two").check()
    page.get_by_role("button", name="Compare 2").click()
    expect(page.get_by_role("columnheader", name="mix.kind")).to_be_visible()
    until(page, PAINTED, "nc", more_than=0)
    names = "() => [...new Set(document.querySelector('.canvas').data.map(t => t.name.split(' · ')[0]))]"
    assert page.evaluate(names) == ["two", TITLE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")]
    page.get_by_label("side by side").check()
    page.get_by_role("button", name="Draw").click()
    expect(page.locator("figure.plot")).to_have_count(4)
    page.get_by_label("together").check()
    page.get_by_label("Group by").fill("mix.kind")
    page.get_by_role("button", name="Draw").click()
    until(page, PAINTED, "nc", more_than=0)
    assert page.evaluate(names) == ["mixup (1 run)", "none (1 run)"]


def test_what_is_wrong_is_said_at_its_field(page: Page):
    page.goto("/new")
    epochs = page.get_by_label("epochs", exact=True).first
    epochs.fill("-3")
    expect(page.locator("#e-epochs")).to_have_text("-3 must be greater than or equal to 1.")
    expect(epochs).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#verdict")).to_have_text("1 field is wrong.")
    page.get_by_role("button", name="Submit").click()
    expect(epochs).to_be_focused()
    epochs.fill("10")
    expect(page.locator("#e-epochs")).to_have_text("")
    page.get_by_label("loss kind").select_option("dot_regression")
    expect(page.locator("#e-head")).to_contain_text("dot_regression needs fixed directions; allowed is etf")


def test_the_slider_leads_through_the_epochs(page: Page, site: Site):
    page.goto(f"/experiments/{site.plain}")
    figure = page.locator("figure[data-plot=last-layer]")
    figure.scroll_into_view_if_needed()
    until(page, PAINTED, "last-layer", more_than=0)
    slider = figure.get_by_role("slider", name="Epoch")
    slider.focus()
    with page.expect_response(lambda answer: "epoch=2" in answer.url):
        slider.press("ArrowLeft")
    expect(figure.locator("output")).to_have_text("2")
    expect(figure.get_by_role("link", name="svg")).to_have_attribute("href", re.compile(r"/last-layer.svg\?epoch=2$"))
    slider.press("End")
    expect(figure.locator("output")).to_have_text("3")


def test_a_sweep_is_written_read_and_looked_at(page: Page, site: Site):
    page.goto("/sweeps")
    page.get_by_text("New sweep").click()
    expect(page.locator("#facts")).to_contain_text("8 cells: 8 new, 0 on record")
    page.get_by_label("as YAML").fill("base: {dataset: digits}\nseeds: 2")
    expect(page.locator("#wrong")).to_contain_text("model")
    page.get_by_role("link", name="four").click()
    page.get_by_role("combobox", name="metric").select_option("accuracy")
    page.get_by_role("button", name="Show").click()
    # 1 - 0.5 / epoch of 1, 2, 3 and 4 epochs.
    expect(page.locator(".heat td")).to_have_text(["0.5", "0.75", "0.8333", "0.875"])
    expect(page.locator(".heat .shade9")).to_have_text("0.875")
    until(page, PAINTED, "nc", more_than=0)
    page.get_by_role("link", name="4 succeeded").click()
    expect(page.locator("tbody tr")).to_have_count(4)


def test_everything_can_be_reached_by_keys(page: Page):
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    reached: list[str] = []
    while TITLE not in reached and len(reached) < 60:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
    assert reached[:8] == ["state", "dataset", "model", "loss", "mix", "tag", "order", "Filter"]
    assert {"id", "two", TITLE} <= set(reached)
    page.get_by_role("link", name="two").focus()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_theme_follows_the_system_until_one_is_chosen(page: Page):
    paper = "() => getComputedStyle(document.documentElement).backgroundColor"
    page.goto("/")
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(paper) == "rgb(18, 22, 28)"
    page.get_by_role("button", name="Theme").click()
    page.reload()
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    expect(page.get_by_role("button", name="Theme: light")).to_be_visible()


def test_plots_have_the_theme_of_the_page(page: Page, site: Site):
    page.emulate_media(color_scheme="dark")
    page.goto(f"/experiments/{site.plain}")
    until(page, PAINTED, "curves", more_than=0)
    assert page.evaluate("document.querySelector('.canvas').layout.font.color") == "#ffffff"
    expect(page.get_by_role("link", name="png").first).to_have_attribute(
        "href", re.compile(r"/curves.png\?theme=dark$")
    )


def test_what_is_copied_is_what_is_shown(page: Page, site: Site):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"/experiments/{site.mixed}")
    page.get_by_text("Python", exact=True).click()
    page.get_by_role("button", name="Copy as Python").click()
    expect(page.locator("#said")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert "'mix': 'mixup'" in copied
    assert f"Client('{site.url}')" in copied


@pytest.mark.parametrize(
    "name", ["list", "experiment", "failed", "compare", "new", "presets", "sweeps", "sweep", "reference"]
)
def test_no_page_keeps_anybody_out(page: Page, site: Site, name: str):
    address = {
        "list": "/",
        "experiment": f"/experiments/{site.plain}",
        "failed": f"/experiments/{site.failed}",
        "compare": f"/compare?id={site.plain}&id={site.mixed}",
        "new": "/new",
        "presets": "/presets",
        "sweeps": "/sweeps",
        "sweep": f"/sweeps/{site.sweep}",
        "reference": "/docs#submit_experiment",
    }[name]
    page.goto(address)
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        # Names, labels, landmarks, headings, contrast: all that WCAG 2.2 lets a program judge.
        found = Axe().run(page)
        assert not found.response["violations"], found.generate_report()
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("plot", ["last-layer", "gram", "spectrum"])
def test_heads_of_an_interactive_plot_keep_clear_of_each_other_in_every_window(page: Page, site: Site, plot: str):
    page.goto(f"/api/v1/compare/plots/{plot}.html?ids={site.plain},{site.mixed}")
    columns = []
    for width in (1600, 1100, 800, 500):
        page.set_viewport_size({"width": width, "height": 900})
        wait_for(lambda: page.evaluate(FITTED), f"The plot fits into {width} pixels", every=0.05)
        heads = page.locator("g.annotation-text-g").evaluate_all("all => all.map(each => each.getBoundingClientRect())")
        columns.append(len({round(head["x"]) for head in heads}))
        assert all(head["x"] + head["width"] <= width for head in heads)
        for one, other in combinations(heads, 2):
            apart = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
            assert apart or one["y"] != other["y"]
    assert columns == sorted(columns, reverse=True)
    assert columns[0] > columns[-1] == 1


def test_the_reference_opens_what_a_link_leads_to(page: Page):
    page.goto("/docs#submit_experiment")
    asked = page.locator("#submit_experiment")
    expect(asked.get_by_text("curl -X POST")).to_be_visible()
    expect(page.locator("#list_experiments")).to_be_hidden()
    asked.get_by_role("link", name="Spec").click()
    expect(page.locator("#Spec").get_by_role("row", name="batch_size")).to_be_visible()


def test_without_javascript_there_are_pictures(page: Page, site: Site):
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(base_url=site.url, java_script_enabled=False)
    plain = context.new_page()
    plain.goto(f"/experiments/{site.plain}")
    expect(plain.get_by_role("img", name="Loss and accuracy over the epochs").first).to_be_visible()
    plain.goto("/?state=failed")
    expect(plain.locator(f"#row-{site.failed}")).to_be_visible()
    expect(plain.locator("tbody .state:not(.failed)")).to_have_count(0)
    context.close()
