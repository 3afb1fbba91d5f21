"""API keys: made, used, replaced, revoked; what is kept of one is a hash that tells nothing."""

import json
import os
import re
import subprocess
import sys

import pytest
from sqlalchemy import update

from ncmix.jobs import keys
from ncmix.jobs.database import Database, now
from ncmix.jobs.keys import KeyNameError, KeyUnknownError
from ncmix.jobs.scopes import SCOPES, allows
from ncmix.jobs.service_tables import ApiKey


def issue(database: Database, name: str = "laptop", **options) -> keys.Issued:
    with database.transaction() as session:
        return keys.issue(session, name, "submit", **options)


def usable(database: Database, text: str) -> bool:
    """Whether somebody who sends this text is let in."""
    with database.reading() as session:
        key = keys.find(session, text)
    return key is not None and keys.fits(key, text)


def expire(database: Database, key_id: str) -> None:
    with database.transaction() as session:
        session.execute(update(ApiKey).where(ApiKey.id == key_id).values(expires=now() - 1.0))


def test_a_key_fits_itself_and_nothing_else(database: Database):
    made, other = issue(database), issue(database, "other")
    assert re.fullmatch(r"ncmix_[0-9a-f]{12}_[0-9a-f]{64}", made.text)
    assert usable(database, made.text)
    swapped = f"ncmix_{made.key.id}_{other.text.rpartition('_')[2]}"
    for wrong in (
        "",
        "ncmix",
        swapped,
        made.text[:-1],
        made.text + "0",
        made.text.upper(),
        f"{made.text}\n",
        "ncmix_\0",
    ):
        assert not usable(database, wrong)


def test_what_is_kept_does_not_hold_the_secret(database: Database):
    made = issue(database)
    secret = made.text.rpartition("_")[2]
    with database.reading() as session:
        kept = keys.get(session, made.key.id)
    assert kept.digest.startswith("$argon2id$")
    assert secret not in " ".join(str(getattr(kept, column.name)) for column in ApiKey.__table__.columns)
    assert secret not in repr(made)


def test_a_key_ends_when_it_expires_and_when_it_is_revoked(database: Database):
    for_a_day, for_ever = issue(database, days=1.0), issue(database)
    assert for_a_day.key.expires == pytest.approx(for_a_day.key.created + 86400)
    assert for_ever.key.expires is None
    expire(database, for_a_day.key.id)
    with database.transaction() as session:
        first = keys.revoke(session, for_ever.key.id).revoked
    with database.transaction() as session:
        assert keys.revoke(session, for_ever.key.id).revoked == first
    assert not usable(database, for_a_day.text)
    assert not usable(database, for_ever.text)
    with database.reading() as session:
        assert keys.any_made(session), "a service whose keys have all ended does not open again"


def test_rotation_gives_a_new_key_and_the_old_one_some_hours(database: Database):
    old = issue(database, days=30.0)
    with database.transaction() as session:
        new = keys.rotate(session, old.key.id, hours=1.0)
    assert usable(database, old.text)
    assert usable(database, new.text)
    assert (new.key.name, new.key.scope) == (old.key.name, old.key.scope)
    with database.reading() as session:
        ends = keys.get(session, old.key.id).expires
    assert ends is not None
    assert ends < new.key.created + 3601
    assert new.key.expires == pytest.approx(new.key.created + 30 * 86400)
    with database.transaction() as session:
        keys.rotate(session, new.key.id, hours=0.0)
    assert not usable(database, new.text)
    with database.transaction() as session, pytest.raises(KeyUnknownError, match="has ended"):
        keys.rotate(session, new.key.id)


def test_the_last_use_is_put_down_once_a_minute(database: Database):
    made = issue(database)
    used = []
    for _ in range(2):
        with database.transaction() as session:
            keys.was_used(session, made.key.id)
        with database.reading() as session:
            used.append(keys.get(session, made.key.id).used)
    assert used[0] is not None
    assert used[0] == used[1]


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", "<script>"])
def test_a_name_must_be_readable(database: Database, name: str):
    with database.transaction() as session, pytest.raises(KeyNameError, match="is no name of a key"):
        keys.issue(session, name, "read")


def test_each_scope_allows_what_those_before_it_allow():
    for held, scope in enumerate(SCOPES):
        assert [allows(scope, other) for other in SCOPES] == [needed <= held for needed in range(len(SCOPES))]


def keytool(environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-W", "error", "-m", "ncmix.jobs.keytool", *words]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_the_command_makes_lists_rotates_and_revokes(tmp_path):
    environment = {"NCMIX_HOME": str(tmp_path / "home")}  # where nothing is yet
    first = keytool(environment, "first").stdout
    assert "There are keys already" in keytool(environment, "first").stdout
    text = keytool(environment, "create", "laptop", "--scope=read", "--days=7").stdout.strip()
    key_id = text.split("_")[1]
    listed = keytool(environment, "ls").stdout
    assert re.search(rf"^{key_id}  read .* valid    laptop$", listed, re.MULTILINE)
    assert len(listed.splitlines()) == 3
    assert text not in listed
    new = keytool(environment, "rotate", key_id, "--hours=0").stdout.strip()
    assert keytool(environment, "revoke", new.split("_")[1]).returncode == 0
    listed = keytool(environment, "ls").stdout
    assert [line.split()[-2] for line in listed.splitlines()[1:]] == ["valid", "expired", "revoked"]
    assert re.search(r"ncmix_[0-9a-f]{12}_[0-9a-f]{64}", first)


def test_the_command_answers_in_json_too(tmp_path):
    environment = {"NCMIX_HOME": str(tmp_path / "home")}
    made = json.loads(keytool(environment, "--json", "create", "laptop").stdout)
    assert re.fullmatch(rf"ncmix_{made['id']}_[0-9a-f]{{64}}", made.pop("key"))
    assert (made["name"], made["scope"], made["state"], made["expires_at"]) == ("laptop", "submit", "valid", None)
    assert json.loads(keytool(environment, "--json", "ls").stdout) == {"items": [made]}
    assert json.loads(keytool(environment, "--json", "revoke", made["id"]).stdout)["state"] == "revoked"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(["revoke", "nobody"], "There is no key 'nobody'"), (["create", ""], "'' is no name of a key")],
)
def test_what_cannot_be_done_is_said_in_a_sentence(tmp_path, words, sentence):
    environment = {"NCMIX_HOME": str(tmp_path / "home")}
    keytool(environment, "create", "somebody")
    done = keytool(environment, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(sentence)
