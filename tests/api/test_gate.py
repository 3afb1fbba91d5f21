"""Who gets in, with which key, to what; and that nothing says a key aloud."""

import logging
import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from api import permissions
from api.app import create
from api.gate import COOKIE
from ncmix.jobs import keys
from ncmix.jobs.database import Database
from ncmix.jobs.scopes import SCOPES, Scope
from ncmix.jobs.service_tables import Base
from ncmix.jobs.settings import Settings
from tests.api.test_problems import HERE, SPEC, problem
from tests.servers import wait_for

PAGE = {"Accept": "text/html"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def keyring(database: Database) -> dict[Scope, str]:
    """One key of each scope."""
    with database.transaction() as session:
        return {scope: keys.issue(session, f"for {scope}", scope).text for scope in SCOPES}


@pytest.fixture
def client(settings: Settings, keyring: dict[Scope, str]) -> Iterator[TestClient]:
    """A client without a key, of a service that asks for one."""
    app = create(settings)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False, follow_redirects=False) as client:
        yield client


def addresses(client: TestClient) -> Iterator[tuple[str, str, str]]:
    """The name, method and an address of every route there is."""
    for route in client.app.state.addresses:  # type: ignore[attr-defined]
        path = re.sub(r"\{\w+\}", "0193b2a4f1c07d1e9a3c", route.path)
        yield from ((route.name, method, path) for method in route.methods)


def test_every_address_is_in_the_table_and_no_other(client: TestClient):
    names = {name for name, _, _ in addresses(client)}
    assert names == set(permissions.NEEDED)


def test_only_health_and_the_way_in_are_open(client: TestClient):
    for name, method, path in addresses(client):
        answer = client.request(method, path)
        if permissions.NEEDED[name] is None:
            # There is no file of that name; who logs in without a key hears so on a page.
            assert answer.status_code == 404 or answer.headers.get("content-type") != "application/problem+json", path
        elif method != "HEAD":
            assert problem(answer, 401)["type"] == "urn:ncmix:problem:unauthorized", path
            assert answer.headers["www-authenticate"] == 'Bearer realm="ncmix"'
    # get_file: scripts and style sheets, that of the login among them.
    way_in = {"healthz", "login_page", "log_in", "log_out", "get_file"}
    assert {name for name, scope in permissions.NEEDED.items() if scope is None} == way_in
    problem(client.get("/nowhere"), 401)


def test_each_scope_opens_what_it_says(client: TestClient, keyring: dict[Scope, str]):
    for name, method, path in addresses(client):
        need = permissions.NEEDED[name]
        for scope in SCOPES:
            if need is None or method == "HEAD":
                continue
            answer = client.request(method, path, headers=bearer(keyring[scope]))
            if SCOPES.index(scope) < SCOPES.index(need):
                assert f"The scope of this key is {scope}; needed is {need}." in problem(answer, 403)["detail"]
                assert f'scope="{need}"' in answer.headers["www-authenticate"]
            else:
                assert answer.status_code not in (401, 403), (path, scope)
    problem(client.get("/nowhere", headers=bearer(keyring["read"])), 404)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic bmNtaXg=", "Bearer ncmix_0_0", "Bearer \x80ÿ"])
def test_what_is_no_key_is_refused(client: TestClient, header: str):
    answer = client.get(HERE, headers={"Authorization": header.encode("latin-1")})
    problem(answer, 401)


def test_a_revoked_key_is_refused_within_two_seconds(client: TestClient, keyring, database: Database):
    assert client.get(HERE, headers=bearer(keyring["read"])).status_code == 200
    with database.transaction() as session:
        keys.revoke(session, keyring["read"].split("_")[1])
    wait_for(lambda: client.get(HERE, headers=bearer(keyring["read"])).status_code == 401, "refusal", 10)


def test_a_use_is_put_down(client: TestClient, keyring, database: Database):
    client.get(HERE, headers=bearer(keyring["read"]))
    with database.reading() as session:
        used = {key.scope: key.used for key in keys.listing(session)}
    assert used["read"] is not None
    assert used["admin"] is None


def test_argon_is_computed_once_for_a_key(client: TestClient, keyring, monkeypatch: pytest.MonkeyPatch):
    computed = []
    fits = keys.fits
    monkeypatch.setattr(keys, "fits", lambda key, words: computed.append(key.id) or fits(key, words))
    monkeypatch.setattr("api.guard.FRESH_SECONDS", 0.0)
    for _ in range(5):
        assert client.get(HERE, headers=bearer(keyring["submit"])).status_code == 200
    assert len(computed) == 1


# Without any key.


def test_without_keys_this_machine_may_do_everything(settings: Settings, database: Database):
    with TestClient(create(settings), base_url="http://127.0.0.1:8000") as client:
        assert client.post(HERE, json=SPEC).status_code == 201
        # A key that somebody has from elsewhere does no harm.
        assert client.get(HERE, headers=bearer("ncmix_of_another_service")).status_code == 200
        with database.transaction() as session:
            keys.issue(session, "first", "admin")
        wait_for(lambda: client.get(HERE).status_code == 401, "the lock", 10)


def test_without_keys_a_name_that_is_not_this_machines_is_refused(settings: Settings):
    with TestClient(create(settings), base_url="http://rebound.example:8000") as client:
        assert "'rebound.example' is not a name of it" in problem(client.get(HERE), 403)["detail"]
        assert client.get("/healthz").status_code == 200
    with TestClient(create(replace(settings, trusted_network=True)), base_url="http://rebound.example") as client:
        assert client.get(HERE).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1"])
def test_a_page_of_another_site_changes_nothing(settings: Settings, origin: str):
    with TestClient(create(settings), base_url="http://localhost") as client:
        said = problem(client.post(f"{HERE}/0193b2a4f1c07d1e9a3c/cancel", headers={"Origin": origin}), 403)
        assert said["type"] == "urn:ncmix:problem:cross-site"


# Browsers.


def log_in(client: TestClient, key: str, then: str = "/docs"):
    return client.post("/login", params={"then": then}, data={"key": key}, headers={"Origin": "http://localhost"})


def test_a_browser_is_led_to_the_form_and_back(client: TestClient, keyring):
    led = client.get("/api/v1/experiments?limit=1", headers=PAGE)
    assert led.status_code == 303
    form = client.get(led.headers["location"])
    assert 'action="/login?then=/api/v1/experiments%3Flimit%3D1"' in form.text
    entered = log_in(client, keyring["submit"], "/api/v1/experiments?limit=1")
    assert (entered.status_code, entered.headers["location"]) == (303, "/api/v1/experiments?limit=1")
    cookie = entered.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/"))
    assert client.get(HERE).status_code == 200


def test_with_a_cookie_changes_must_come_from_our_own_pages(client: TestClient, keyring):
    log_in(client, keyring["submit"])
    for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        problem(client.post(HERE, json=SPEC, headers=origin), 403)
    assert client.post(HERE, json=SPEC, headers={"Origin": "http://localhost"}).status_code == 201


def test_logging_out_forgets_the_key(client: TestClient, keyring):
    log_in(client, keyring["read"])
    assert client.post("/logout", headers={"Origin": "http://localhost"}).status_code == 303
    assert COOKIE not in client.cookies
    problem(client.get(HERE), 401)


def test_a_wrong_key_gets_the_form_again(client: TestClient):
    refused = log_in(client, "<b>ncmix</b>")
    assert refused.status_code == 401
    assert "This is no key of this service" in refused.text
    assert "<b>" not in refused.text
    assert "set-cookie" not in refused.headers


@pytest.mark.parametrize("then", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "/\t/evil", ""])
def test_the_way_back_stays_here(client: TestClient, keyring, then: str):
    assert log_in(client, keyring["read"], then).headers["location"] == "/"


# Not too often.


def test_too_many_wrong_keys_are_told_to_wait(settings: Settings, keyring):
    app = create(replace(settings, failure_rate="3/hour"))
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get(HERE, headers=bearer(keyring["read"])).status_code == 200
        for _ in range(3):
            problem(client.get(HERE, headers=bearer("ncmix_wrong")), 401)
        refused = client.get(HERE, headers=bearer("ncmix_wrong"))
        assert "allowed are 3/hour" in problem(refused, 429)["detail"]
        assert 0 < int(refused.headers["retry-after"]) <= 3600
        assert log_in(client, "ncmix_wrong").status_code == 429
        # Who came in before is not kept out by others at the same address.
        assert client.get(HERE, headers=bearer(keyring["read"])).status_code == 200


def test_too_many_changes_are_told_to_wait(settings: Settings, keyring):
    app = create(replace(settings, change_rate="2/hour"))
    with TestClient(app, base_url="http://localhost", headers=bearer(keyring["submit"])) as client:
        assert [client.post(HERE, json=SPEC).status_code for _ in range(2)] == [201, 200]
        refused = client.post(HERE, json=SPEC)
        assert "allowed are 2/hour" in problem(refused, 429)["detail"]
        assert refused.headers["retry-after"]
        assert client.get(HERE).status_code == 200
        # Reading what somebody writes changes nothing, and is asked for at every key that is pressed.
        assert client.post("/api/v1/specs", json=SPEC).status_code == 200


@pytest.mark.redis
def test_rates_are_counted_for_all_processes_and_go_on_without_redis(settings: Settings, keyring, redis_url: str):
    shared = replace(settings, change_rate="2/hour", broker_url=redis_url)
    key = bearer(keyring["submit"])
    statuses = []
    for _ in range(3):
        with TestClient(create(shared), base_url="http://localhost", headers=key) as client:
            statuses.append(client.post(HERE, json=SPEC).status_code)
    assert statuses == [201, 200, 429]
    away = replace(shared, broker_url="redis://127.0.0.1:1/0")
    with TestClient(create(away), base_url="http://localhost", headers=key) as client:
        assert client.post(HERE, json=SPEC).status_code == 200


def test_methods_are_told_to_whom_the_address_is_open(client: TestClient, keyring):
    answer = client.put("/healthz")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert client.put(HERE).status_code == 401
    assert client.put(HERE, headers=bearer(keyring["read"])).status_code == 405


# Headers, and secrets that stay secret.


def test_every_answer_says_what_it_may_load(client: TestClient, keyring):
    for path in ("/healthz", "/login", HERE, "/docs", "/nowhere", "/openapi.json"):
        answer = client.get(path, headers=bearer(keyring["read"]))
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"].startswith(("default-src 'none'", "default-src 'self'")), path
        scripts = re.search(r"script-src ([^;]*)", answer.headers["content-security-policy"])
        assert not scripts or "unsafe" not in scripts[1]


def test_no_secret_is_in_logs_answers_or_the_database(
    client: TestClient, keyring, database: Database, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    wrong = keyring["read"][:-8] + "0badc0de"
    said = [log_in(client, wrong).text, client.get(HERE, headers=bearer(wrong)).text]
    paths = (HERE, "/nowhere", f"{HERE}?colour=red", "/readyz")
    said += [client.get(path, headers=bearer(keyring["read"])).text for path in paths]
    said += [client.post(HERE, json=SPEC, headers=bearer(keyring["read"])).text]
    with database.transaction() as session:
        session.execute(text("ALTER TABLE event RENAME TO gone"))
    try:
        said += [client.post(HERE, json={**SPEC, "seed": 1}, headers=bearer(keyring["submit"])).text]
    finally:
        with database.transaction() as session:
            session.execute(text("ALTER TABLE gone RENAME TO event"))
    said += [caplog.text, *dump(database)]
    secrets = [key.rpartition("_")[2] for key in (*keyring.values(), wrong)]
    assert not [secret for secret in secrets if any(secret in words for words in said)]
    assert "password" not in repr(client.app.state.settings)  # type: ignore[attr-defined]


def dump(database: Database) -> list[str]:
    """Every row of every table, as text."""

    with database.reading() as session:
        return [str(session.execute(table.select()).all()) for table in Base.metadata.sorted_tables]
