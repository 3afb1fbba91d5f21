"""A new installation gets its secrets once, in files that fit each other."""

from pathlib import Path

from ncmix.jobs.installing import install
from ncmix.jobs.settings import Settings


def read(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text().strip() for path in folder.iterdir()}


def test_the_files_fit_each_other_and_stay(tmp_path):
    install(tmp_path)
    first = read(tmp_path)
    assert first["database_url"] == f"postgresql://ncmix:{first['db_password']}@db/ncmix"
    assert first["broker_url"] == f"redis://:{first['broker_password']}@broker:6379/0"
    assert first["broker.conf"] == f"requirepass {first['broker_password']}"
    install(tmp_path)
    assert read(tmp_path) == first
    settings = Settings.from_environment({f"NCMIX_{n.upper()}_FILE": str(tmp_path / n) for n in first if "url" in n})
    assert first["db_password"] in settings.database_url
    assert first["db_password"] not in repr(settings)


def test_what_was_cut_off_is_finished_with_the_same_password(tmp_path):
    install(tmp_path)
    first = read(tmp_path)
    (tmp_path / "database_url").unlink()
    install(tmp_path)
    assert read(tmp_path) == first
