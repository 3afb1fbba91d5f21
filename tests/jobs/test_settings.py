"""Settings come from NCMIX_* variables alone; a value that cannot be used is refused in a sentence."""

from pathlib import Path

import pytest

from ncmix.jobs.settings import Settings, SettingsError


def test_without_any_variable_everything_lies_under_one_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment({})
    assert settings.home == tmp_path / "ncmix-data"
    assert settings.database_url == f"sqlite:///{tmp_path}/ncmix-data/ncmix.db"
    assert settings.broker_url.startswith("filesystem://")
    assert settings.broker_folder.parent == settings.home
    assert settings.data.root == settings.home / "data"
    assert (settings.lease_seconds, settings.renew_seconds, settings.max_attempts) == (60, 15, 3)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_gets_the_driver_that_is_installed(scheme: str) -> None:
    settings = Settings.from_environment({"NCMIX_DATABASE_URL": f"{scheme}://me:secret@db/ncmix"})
    assert settings.database_url == "postgresql+psycopg://me:secret@db/ncmix"


def test_a_secret_can_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://:secret@broker/0\n")
    settings = Settings.from_environment({"NCMIX_BROKER_URL_FILE": str(tmp_path / "url")})
    assert settings.broker_url == "redis://:secret@broker/0"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"NCMIX_DEVICE": "tpu"}, "NCMIX_DEVICE is 'tpu'; allowed are auto, cpu, cuda."),
        ({"NCMIX_DEFAULT_QUEUE": "fast"}, "NCMIX_DEFAULT_QUEUE is 'fast'; allowed are cpu, gpu."),
        ({"NCMIX_LEASE_SECONDS": "soon"}, "NCMIX_LEASE_SECONDS is 'soon'; allowed is a number of seconds above 0."),
        ({"NCMIX_GRACE_SECONDS": "-1"}, "NCMIX_GRACE_SECONDS is '-1'; allowed is a number of seconds above 0."),
        ({"NCMIX_POLL_SECONDS": "nan"}, "NCMIX_POLL_SECONDS is 'nan'; allowed is a number of seconds above 0."),
        ({"NCMIX_SLOTS": "cpu,tpu"}, "NCMIX_SLOTS is 'cpu,tpu'; allowed are auto, or words with commas between"),
        ({"NCMIX_GPU_MEMORY_FRACTION": "2"}, "NCMIX_GPU_MEMORY_FRACTION is '2'; allowed is a share above 0, up to 1."),
        ({"NCMIX_MAX_ATTEMPTS": "0"}, "NCMIX_MAX_ATTEMPTS is '0'; allowed is a whole number from 1."),
        ({"NCMIX_LEASE_SECONDS": "20"}, "NCMIX_RENEW_SECONDS is 15; allowed is at most half of NCMIX_LEASE_SECONDS"),
        ({"NCMIX_DATABASE_URL": "mysql://db/x"}, "begins with 'mysql'; allowed are sqlite:///path and postgresql://"),
        ({"NCMIX_BROKER_URL": "amqp://x"}, "NCMIX_BROKER_URL begins with 'amqp'; allowed are redis://"),
        ({"NCMIX_BROKER_URL_FILE": "/nowhere"}, "NCMIX_BROKER_URL_FILE is '/nowhere', which cannot be read: No such"),
        ({"NCMIX_BROKER_URL": "a", "NCMIX_BROKER_URL_FILE": "b"}, "are both set; allowed is one of them."),
        ({"NCMIX_IMAGE_FOLDERS": "=x"}, "NCMIX_IMAGE_FOLDERS: '=x' is neither a name nor name=path"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environment)
    assert sentence in str(caught.value)
