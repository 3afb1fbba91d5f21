"""The way in where there are keys: a form, a cookie that no script can read, and out again."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from ncmix.jobs import keys
from ncmix.jobs.database import Database
from tests.browser.conftest import PATIENCE, Watched
from tests.servers import Api

pytestmark = pytest.mark.browser


@pytest.fixture
def key(sqlite_url: str) -> str:
    """A key that may do everything; the service asks for one because of it."""
    database = Database(sqlite_url)
    with database.transaction() as session:
        made = keys.issue(session, "somebody", "admin").text
    database.dispose()
    return made


def look(page: Page) -> None:
    """Nothing about it keeps anybody out, in light or dark, and it fits a telephone."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        found = Axe().run(page)
        assert not found.response["violations"], found.generate_report()
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_in_with_a_key_and_out_again(browser: Browser, embedded_environment: dict[str, str], key: str):
    with Api(embedded_environment) as api, browser.new_context(base_url=api.url) as context:
        context.set_default_timeout(PATIENCE)
        page, watched = context.new_page(), Watched(api.url)
        watched.watch(page)
        page.goto("/sweeps")
        expect(page).to_have_url(f"{api.url}/login?then=%2Fsweeps")
        expect(page.get_by_label("API key")).to_be_focused()
        expect(page.get_by_role("button", name="Log out")).to_have_count(0)
        look(page)
        assert not watched.wrong

        page.get_by_label("API key").fill("ncmix_wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This is no key of this service, or it has ended.")
        watched.wrong.clear()  # Chromium reports every 401.

        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Log in").click()
        expect(page).to_have_url(f"{api.url}/sweeps")
        assert page.evaluate("document.cookie") == ""
        page.goto("/new")
        expect(page.locator("#verdict")).to_have_text("This can be run.")  # Asked of the API, with the cookie.
        page.get_by_role("button", name="Log out").click()
        expect(page).to_have_url(f"{api.url}/login")
        page.goto("/")
        expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        assert not watched.wrong
