"""A real `ncmix serve` with experiments on record, and a real Chromium that notices every error and every stranger."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from ncmix.jobs import sweeps
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Reason
from ncmix.spec import expand, parse_sweep
from tests.api.lives import Lives
from tests.conftest import environment_of, started
from tests.jobs.helpers import keep_end
from tests.servers import MissingBinaryError
from tests.test_flow import serve
from tests.toys import toy

# A busy machine may take its time; what does not come fails all the same.
PATIENCE = 40_000
expect.set_options(timeout=PATIENCE)

TITLE = '<script>alert("1")</script> & one'


@dataclass(frozen=True)
class Site:
    """A running service and what is on record there."""

    url: str
    plain: str
    mixed: str
    failed: str
    sweep: str


@dataclass
class Watched:
    """What must not happen in a page: errors, and requests to another host."""

    url: str
    wrong: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Note everything that goes wrong from now on."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.url}/", "data:", "blob:")):
            self.wrong.append(f"request: {request.url}")


def _chromium() -> str:
    found = shutil.which("chromium")
    if found is None:
        raise MissingBinaryError("chromium is not in PATH")
    return found


def _swept(lives: Lives) -> str:
    """A sweep of four cells, all of which have succeeded; gives its id."""
    base = toy().model_dump(mode="json", exclude={"loss", "mix"})
    grid = {"loss": ["cross_entropy", "mse"], "mix": ["none", "mixup"]}
    definition = parse_sweep({"name": "four", "base": base, "grid": grid, "seeds": [5]})
    with lives.database.transaction() as session:
        swept = sweeps.submit(session, definition, expand(definition), lives.settings).sweep.id
    for epochs in range(1, 5):
        lives.finish(lives.next(epochs))
    return swept


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, this machine's own."""
    path = started("browser", _chromium)
    with sync_playwright() as playwright:
        # The sandbox needs privileges that containers lack; the only pages it sees are ours.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(migrated_file: Path, tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Site]:
    """A service whose database had experiments in it when it was started."""
    home = tmp_path_factory.mktemp("home")
    database_url = f"sqlite:///{shutil.copy(migrated_file, home / 'ncmix.db')}"
    database = Database(database_url)
    lives = Lives(database, Settings.from_environment(environment_of(home, database_url)))
    plain = lives.done(0, epochs=3, probed=(1, 2, 3), name=TITLE, tags=("first",))
    mixed = lives.done(1, epochs=3, probed=(1, 3), mix="mixup", name="two")
    keep_end(database, mixed)
    failed = lives.fail(lives.running(2, epochs=1), Reason("diverged", "The loss is not finite."))
    sweep = _swept(lives)
    database.dispose()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NCMIX_WATCH_SECONDS", "0.1")
        with serve(home) as url:
            yield Site(url, plain, mixed, failed, sweep)


@pytest.fixture
def context(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """Cookies, storage and settings of a new visitor."""
    context = browser.new_context(base_url=site.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, site: Site) -> Iterator[Page]:
    """A new page, in which nothing may go wrong while the test looks at it."""
    watched, page = Watched(site.url), context.new_page()
    watched.watch(page)
    yield page
    assert not watched.wrong
