"""The commands that talk to a service: what they print for people and for programs, and the codes they end with."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ncmix.cli.main import COMMANDS, main
from ncmix.client import Client
from ncmix.jobs.database import Database
from tests.client.service import whole_service
from tests.jobs.helpers import keep_end
from tests.servers import Api, wait_for
from tests.toys import toy

pytestmark = pytest.mark.timeout(300)
PATIENCE = 120.0
NCMIX = [sys.executable, "-m", "ncmix.cli"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the service keeps everything."""
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[Api]:
    """A service whose worker records without training; the names of specs say how it behaves."""
    with whole_service(folder, "tests.faults.toy_worker") as running:
        yield running


@pytest.fixture
def client(api: Api) -> Iterator[Client]:
    with Client(api.url) as connected:
        yield connected


@pytest.fixture(scope="module")
def done(api: Api) -> str:
    """The id of an experiment that has succeeded."""
    with Client(api.url) as client:
        return client.submit(toy(seed=100)).wait(timeout=PATIENCE).id


def environment(api: Api) -> dict[str, str]:
    return {**os.environ, "NCMIX_URL": api.url, "COLUMNS": "80"}


def ncmix(api: Api, *words: object, status: int = 0) -> str:
    """What a command prints, which must end with `status`; of one that prints nothing what it says on stderr."""
    ran = CliRunner().invoke(main, [str(word) for word in words], env=environment(api), catch_exceptions=False)
    assert ran.exit_code == status, (words, ran.output)
    return ran.stdout or ran.stderr


def documents(text: str) -> list[Any]:
    """JSON lines."""
    return [json.loads(line) for line in text.splitlines()]


def spec_file(folder: Path, **changes: Any) -> Path:
    file = folder / "spec.yaml"
    file.write_text(json.dumps(toy(**changes).model_dump(mode="json")))
    return file


def test_submit_takes_a_file_options_and_presets(api: Api, tmp_path: Path):
    file = spec_file(tmp_path, seed=200)
    first = json.loads(ncmix(api, "submit", "--spec", file, "--lr", "0.25", "--json"))
    assert (first["spec"]["optimizer"]["lr"], first["spec"]["seed"]) == (0.25, 200)
    assert ncmix(api, "submit", "--spec", file, "--lr", "0.25").split()[0] == first["id"]
    assert json.loads(ncmix(api, "submit", "--spec", file, "--lr", "0.25", "--rerun", "--json"))["id"] != first["id"]
    whole = ["submit", "--preset", "digits-mixup", "--scale", "small", "--json"]
    made = json.loads(ncmix(api, *whole, "--epochs", 2, "--set", "measure.epochs=last"))["items"]
    assert [e["spec"]["mix"]["kind"] for e in made] == ["none", "mixup"]
    assert {e["epochs"] for e in made} == {2}
    assert json.loads(ncmix(api, *whole, "--epochs", 2, "--measure", "last", "--run", 2))["id"] == made[1]["id"]


def test_submit_and_watch_ends_as_the_experiment_does(api: Api, tmp_path: Path):
    said = ncmix(api, "submit", "--spec", spec_file(tmp_path, seed=201, epochs=4), "--watch")
    assert re.search(r"epoch 4/4", said)
    assert "succeeded" in said
    lines = documents(ncmix(api, "submit", "--spec", spec_file(tmp_path, name="fail=2"), "--watch", "--json", status=1))
    assert (lines[-1]["state"], lines[-1]["reason"]["message"]) == ("failed", "It was told to fail.")
    assert [line["epoch"] for line in lines] == sorted(line["epoch"] for line in lines)


def test_watch_is_zero_only_if_all_have_succeeded(api: Api, client: Client, done: str):
    failed = client.submit(toy(seed=202, name="fail=1"))
    assert "succeeded" in ncmix(api, "watch", done)
    said = ncmix(api, "watch", done, failed.id, status=1)
    assert f"{failed.id}  failed" in said
    assert "It was told to fail." in said
    assert {line["id"] for line in documents(ncmix(api, "watch", done, failed.id, "--json", status=1))} == {
        done,
        failed.id,
    }
    assert "no experiment whose id" in ncmix(api, "watch", "00000", status=3)


def test_watch_survives_a_restart_and_an_interrupt_leaves_the_experiment_alone(api: Api, client: Client):
    running = client.submit(toy(seed=203, name="epoch=0.1", epochs=10_000))
    wait_for(lambda: running.refresh().epoch, "A start", PATIENCE)
    # A shell lets what it starts in the background ignore SIGINT; this one must hear it.
    command = ["env", "--default-signal=INT", *NCMIX, "watch", running.id, "--json"]
    watch, interrupted = (
        subprocess.Popen(command, env=environment(api), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(2)
    )
    for each in (watch, interrupted):
        assert each.stdout is not None
        assert json.loads(each.stdout.readline())["id"] == running.id
    interrupted.send_signal(signal.SIGINT)
    interrupted.communicate(timeout=PATIENCE)
    assert interrupted.returncode == 130
    api.kill()
    api.start()
    assert running.refresh().state == "running"
    running.cancel()
    rest, _ = watch.communicate(timeout=PATIENCE)
    assert (watch.returncode, documents(rest)[-1]["state"]) == (1, "cancelled")


def test_log_is_followed_to_its_end(api: Api, client: Client, done: str):
    assert "epoch 3" in ncmix(api, "log", done)
    assert "".join(line["text"] for line in documents(ncmix(api, "log", done, "--json"))) == ncmix(api, "log", done)
    slow = client.submit(toy(seed=204, name="epoch=0.1 fail=5", epochs=10))
    followed = ncmix(api, "log", "-f", slow.id, status=1)
    assert [f"epoch {n}" in followed.splitlines() for n in (1, 4, 5)] == [True, True, False]
    assert f"==> {slow.id}" in ncmix(api, "log", done, slow.id)
    assert "allowed with --follow is one" in ncmix(api, "log", "-f", done, slow.id, status=2)


def test_ls_filters_and_show_tells_why(api: Api, client: Client, done: str):
    failed = client.submit(toy(seed=205, name="fail=1", tags=["shown"])).wait(timeout=PATIENCE)
    listed = json.loads(ncmix(api, "ls", "--tag", "shown", "--json"))["items"]
    assert [e["id"] for e in listed] == [failed.id]
    table = ncmix(api, "ls", "--state", "failed", "--dataset", "gaussian", "--all")
    assert re.search(rf"{failed.id} +failed .* 0/3 .* fail=1", table)
    assert done not in table
    assert "These are the newest 1" in ncmix(api, "ls", "-n", 1)
    assert "No experiment is like that." in ncmix(api, "ls", "--tag", "nobody")
    shown = ncmix(api, "show", failed.id[-6:])
    assert "It was told to fail. (error)" in shown
    assert "optimizer.lr" in shown
    assert json.loads(ncmix(api, "show", done, "--json"))["id"] == done
    assert len(json.loads(ncmix(api, "show", done, failed.id, "--json"))["items"]) == 2


def test_compare_is_a_table_or_a_picture(api: Api, client: Client, done: str, tmp_path: Path):
    other = client.submit(toy(seed=206, name="the other")).wait(timeout=PATIENCE)
    assert re.search(r"accuracy .* 0\.03 ", ncmix(api, "compare", done, other.id))
    file = tmp_path / "both.svg"
    assert str(file) in "".join(ncmix(api, "compare", done, other.id, "--plot", "curves", "-o", file).split())
    assert "<svg" in file.read_text()
    answered = json.loads(ncmix(api, "compare", done, other.id, "--json"))
    assert [e["id"] for e in answered["items"]] == [done, other.id]
    assert "allowed are png" in ncmix(api, "compare", done, "-o", tmp_path / "x.gif", status=2)


def test_several_are_steered_at_once_and_one_that_cannot_be_leaves_the_others(api: Api, client: Client, done: str):
    ids = [client.submit(toy(seed=seed, name="epoch=0.1", epochs=10_000)).id for seed in (207, 208)]
    said = CliRunner().invoke(main, ["pause", *ids, done, "--json"], env=environment(api))
    assert (said.exit_code, f"{done}: The service refused (409)" in said.stderr) == (3, True)
    assert {e["state"] for e in json.loads(said.stdout)["items"]} <= {"pausing", "paused"}
    for each in ids:
        wait_for(lambda each=each: client.experiment(each).state == "paused", "A pause", PATIENCE, every=0.05)
    assert [line.split()[1] for line in ncmix(api, "resume", *ids).splitlines()] == ["queued"] * 2
    ncmix(api, "cancel", *ids)
    ncmix(api, "watch", *ids, status=1)
    again = json.loads(ncmix(api, "retry", ids[0], "--json"))
    assert again["parent"] == ids[0]
    ncmix(api, "cancel", again["id"])
    ncmix(api, "watch", again["id"], status=1)
    assert json.loads(ncmix(api, "rm", again["id"], "--json")) == {"removed": again["id"]}
    assert ncmix(api, "rm", *ids, "--yes").splitlines() == [f"{each}  removed" for each in ids]
    assert "no experiment" in ncmix(api, "show", ids[0], status=3)


def test_one_that_has_succeeded_is_extended(api: Api, done: str, folder: Path, tmp_path: Path):
    # Who records without training leaves no checkpoint.
    assert "no checkpoint of its end is here" in ncmix(api, "extend", done, "--epochs", 5, status=3)
    database = Database(f"sqlite:///{folder / 'home' / 'ncmix.db'}")
    keep_end(database, done)
    database.dispose()
    longer = json.loads(ncmix(api, "extend", done[-8:], "--epochs", 5, "--set", "schedule=constant", "--json"))
    assert (longer["parent"], longer["epochs"], longer["spec"]["schedule"]["kind"]) == (done, 5, "constant")
    assert "does not go past the run it extends" in ncmix(api, "extend", done, "--epochs", 3, status=3)
    assert "is no folder, and no id" in ncmix(api, "extend", "runs/first", "--epochs", 5, status=2)
    assert "stays there" in ncmix(api, "extend", done, "--epochs", 5, "--out", tmp_path, status=2)


def test_several_go_into_a_folder_and_come_back(api: Api, client: Client, done: str, tmp_path: Path):
    other = client.submit(toy(seed=209)).wait(timeout=PATIENCE).id
    written = json.loads(ncmix(api, "export", done, other, "-o", tmp_path, "--json"))["items"]
    files = [entry["file"] for entry in written]
    assert files == [str(tmp_path / f"{each}.zip") for each in (done, other)]
    assert [e["id"] for e in json.loads(ncmix(api, "import", *files, "--json"))["items"]] == [done, other]
    assert "one file for 2 experiments" in ncmix(api, "export", done, other, "-o", tmp_path / "x.zip", status=2)


def test_a_sweep_is_watched_listed_and_removed(api: Api, tmp_path: Path):
    file = tmp_path / "sweep.yaml"
    points = [{"seed": 210}, {"seed": 211, "name": "fail=2"}]
    file.write_text(json.dumps({"name": "two", "base": toy().model_dump(mode="json"), "list": points}))
    assert json.loads(ncmix(api, "sweep", file, "--dry-run", "--json"))["cells"] == 2
    made = json.loads(ncmix(api, "sweep", file, "--watch", "--json", status=1))
    assert made["states"] == {"failed": 1, "succeeded": 1}
    assert "2 cells: 1 failed, 1 succeeded" in ncmix(api, "sweep", "show", made["id"][-6:])
    assert [s["id"] for s in json.loads(ncmix(api, "sweep", "ls", "--json"))["items"]] == [made["id"]]
    assert len(json.loads(ncmix(api, "ls", "--sweep", made["id"], "--json"))["items"]) == 2
    assert json.loads(ncmix(api, "sweep", "table", made["id"], "--json"))["items"]
    assert re.search(r"cells +accuracy", ncmix(api, "sweep", "table", made["id"], "--split", "train"))
    assert "removed" in ncmix(api, "sweep", "rm", made["id"], "--experiments")
    assert "no sweep" in ncmix(api, "sweep", "show", made["id"][-6:], status=3)


def test_what_goes_wrong_has_its_code(api: Api, done: str, tmp_path: Path):
    assert "epochs: -1 must be" in ncmix(
        api, "submit", "--dataset", "digits", "--model", "mlp", "--epochs", "-1", status=2
    )
    assert "No such option" in ncmix(api, "ls", "--colour", status=2)
    assert "several ids" in ncmix(api, "show", done[0], status=3)
    assert "does not answer" in ncmix(api, "ls", "--url", "http://127.0.0.1:9", status=4)
    assert "does not answer" in ncmix(api, "watch", done, "--url", "http://127.0.0.1:9", status=4)
    assert "no image folder" in ncmix(
        api, "submit", "--dataset", "image_folder", "--set", "dataset.name=pets", "--model", "convnet", status=3
    )


@pytest.mark.parametrize("command", ["", *(name for section in COMMANDS.values() for name in section)])
def test_help_fits_a_terminal_and_loads_nothing_heavy(command: str):
    code = (
        "import sys\nfrom ncmix.cli import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "sys.exit(sorted({'torch', 'sklearn', 'pandas', 'sqlalchemy', 'celery'} & set(sys.modules)) or None)"
    )
    words = [word for word in (command, "--help") if word]
    ran = subprocess.run(
        [sys.executable, "-c", code, *words], env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert not [line for line in ran.stdout.splitlines() if len(line) > 80]


@pytest.mark.parametrize(("shell", "has"), [("bash", "complete -o nosort"), ("zsh", "compdef"), ("fish", "complete")])
def test_shells_are_told_how_to_complete(api: Api, shell: str, has: str):
    script = ncmix(api, "completion", shell)
    assert has in script
    if found := shutil.which(shell):
        subprocess.run([found, "-n"], input=script, text=True, check=True)


@pytest.mark.parametrize(
    ("words", "expected"),
    [("ncmix su", ["submit"]), ("ncmix submit --dataset dig", ["digits"]), ("ncmix watch {id}", ["{whole}"])],
)
def test_commands_choices_and_ids_are_completed(api: Api, done: str, words: str, expected: list[str]):
    asked = words.format(id=done[:15])
    variables = {"_NCMIX_COMPLETE": "bash_complete", "COMP_WORDS": asked, "COMP_CWORD": str(len(asked.split()) - 1)}
    ran = subprocess.run(
        [*NCMIX[:1], "-c", "from ncmix.cli import main; main(prog_name='ncmix')"],
        env=environment(api) | variables, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = [line.partition(",")[2] for line in ran.stdout.splitlines()]
    assert [word.format(whole=done) for word in expected] == [f for f in found if f in (done, "submit", "digits")]
