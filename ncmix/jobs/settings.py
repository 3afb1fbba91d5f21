"""How the service is set up: `NCMIX_*` variables, read once into a frozen object."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ncmix.confidential import SecretError, secret
from ncmix.datahome import DataHome, DataHomeError
from ncmix.errors import NcmixError

Device = Literal["auto", "cpu", "cuda"]
Queue = Literal["cpu", "gpu"]
LogFormat = Literal["auto", "json", "text"]
_GPU = r"(?:\d{1,3}|(?:GPU|MIG)-[0-9A-Za-z/-]+)"
_SLOT = re.compile(rf"cpu|{_GPU}(?:\+{_GPU})*")
_RATE = re.compile(r"[1-9]\d{0,6}/(second|minute|hour|day)")


class SettingsError(NcmixError, ValueError):
    """A setting cannot be used; the message is a sentence that names the variable, its value and what is allowed."""


@dataclass(frozen=True)
class Keep:
    """How long bulky parts of experiments that ended are kept; None is for ever.

    Attributes:
        checkpoint_days: days after its end until its checkpoints go: then it cannot be extended any more.
        feature_days: the same of its features.
        feature_bytes: how much all features on record may be; those of the experiment that ended first go first.
        log_days: days after its end until its log goes.
    """

    checkpoint_days: float | None = None
    feature_days: float | None = None
    feature_bytes: int | None = None
    log_days: float | None = None


@dataclass(frozen=True)
class Settings:
    """Everything an operator can set; times are in seconds.

    Attributes:
        home: where the embedded database, the embedded queue and the data lie ($NCMIX_HOME, ./ncmix-data).
        database_url: SQLAlchemy's address of the record; SQLite under `home` unless set.
        broker_url: Kombu's address of the queue of hints; files under `home` unless set.
        data: where pictures lie.
        checkpoint_dir: where checkpoints lie, the same folder for all workers and the API ($NCMIX_HOME/checkpoints).
        device: what a worker makes of `device: auto` in a spec.
        default_queue: the queue of specs with `device: auto`.
        lease_seconds: how long a worker owns an experiment without a sign of life.
        renew_seconds: how often it gives one.
        watch_seconds: how often it looks whether the experiment shall be cancelled.
        poll_seconds: how often an idle worker looks for queued experiments of which no hint came.
        reap_seconds: how often expired leases are looked for.
        stream_seconds: how often the record is looked at for those who follow an experiment.
        grace_seconds: how long a child may take to stop before it is killed.
        stall_seconds: how long a training may give no sign of life before it is stopped; a spec can say otherwise.
        slots: where experiments run: `auto` (on every GPU, or else one on the CPU), or names of GPUs and `cpu`.
        slots_per_gpu: how many experiments share a GPU, and its memory, if `slots` is `auto`.
        mps: whether slots that share a GPU use it at the same time, by NVIDIA's Multi-Process Service.
        gpu_memory_fraction: the share of a GPU's memory that a child may use.
        warm: whether an idle slot keeps a child that has loaded PyTorch, and an API loads at once what it draws with.
        max_attempts: how many times an experiment may die with its worker or its child.
        backoff_seconds: how long an experiment rests after its first such death; doubled after each further one.
        log_limit: how many bytes of an attempt's output are kept.
        feature_store: where features lie: `sql`, or the address of a folder (file:///…) or a bucket (s3://…).
        feature_quota: how many bytes all features together may take; None for as many as the disk has.
        import_limit: how many bytes an imported file may have, and what is in it when unpacked.
        keep: how long what is kept.
        log_format: how API and workers log: `auto` is text on a terminal and JSON elsewhere.
        heartbeat_dir: where API and worker touch a file for as long as they work; None: nowhere.
        trusted_network: without any key, serve whoever comes from wherever; else only this machine.
        change_rate: how many requests that change something a key may send.
        failure_rate: how many wrong keys an address may send.
    """

    home: Path
    database_url: str = field(repr=False)  # with a password in it
    broker_url: str = field(repr=False)
    data: DataHome
    checkpoint_dir: Path
    device: Device = "auto"
    default_queue: Queue = "cpu"
    lease_seconds: float = 60.0
    renew_seconds: float = 15.0
    watch_seconds: float = 1.0
    poll_seconds: float = 15.0
    reap_seconds: float = 15.0
    stream_seconds: float = 0.5
    grace_seconds: float = 30.0
    stall_seconds: float = 3600.0
    slots: tuple[str, ...] = ("auto",)
    slots_per_gpu: int = 1
    mps: bool = False
    gpu_memory_fraction: float = 1.0
    warm: bool = True
    max_attempts: int = 3
    backoff_seconds: float = 5.0
    log_limit: int = 16 * 2**20
    feature_store: str = "sql"
    feature_quota: int | None = None
    import_limit: int = 2 * 2**30
    log_format: LogFormat = "auto"
    keep: Keep = Keep()
    heartbeat_dir: Path | None = None
    trusted_network: bool = False
    change_rate: str = "600/minute"
    failure_rate: str = "20/minute"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """From NCMIX_* variables; secrets can be in files named by NCMIX_DATABASE_URL_FILE and NCMIX_BROKER_URL_FILE.

        Raises:
            SettingsError: a variable cannot be used.
        """
        home = Path(environment.get("NCMIX_HOME") or "ncmix-data").absolute()
        settings = cls(
            home=home,
            database_url=_database_url(_secret(environment, "NCMIX_DATABASE_URL"), home),
            broker_url=_broker_url(_secret(environment, "NCMIX_BROKER_URL")),
            data=_data(environment, home),
            checkpoint_dir=Path(environment.get("NCMIX_CHECKPOINT_DIR") or home / "checkpoints").absolute(),
            device=_one_of(environment, "NCMIX_DEVICE", get_args(Device), cls.device),
            default_queue=_one_of(environment, "NCMIX_DEFAULT_QUEUE", get_args(Queue), cls.default_queue),
            lease_seconds=_seconds(environment, "NCMIX_LEASE_SECONDS", cls.lease_seconds),
            renew_seconds=_seconds(environment, "NCMIX_RENEW_SECONDS", cls.renew_seconds),
            watch_seconds=_seconds(environment, "NCMIX_WATCH_SECONDS", cls.watch_seconds),
            poll_seconds=_seconds(environment, "NCMIX_POLL_SECONDS", cls.poll_seconds),
            reap_seconds=_seconds(environment, "NCMIX_REAP_SECONDS", cls.reap_seconds),
            stream_seconds=_seconds(environment, "NCMIX_STREAM_SECONDS", cls.stream_seconds),
            grace_seconds=_seconds(environment, "NCMIX_GRACE_SECONDS", cls.grace_seconds),
            stall_seconds=_seconds(environment, "NCMIX_STALL_SECONDS", cls.stall_seconds),
            slots=_slots(environment),
            slots_per_gpu=_whole(environment, "NCMIX_SLOTS_PER_GPU", cls.slots_per_gpu),
            mps=_one_of(environment, "NCMIX_MPS", ("0", "1"), "0") == "1",
            gpu_memory_fraction=_share(environment, "NCMIX_GPU_MEMORY_FRACTION", cls.gpu_memory_fraction),
            warm=_one_of(environment, "NCMIX_WARM", ("0", "1"), "1") == "1",
            max_attempts=_whole(environment, "NCMIX_MAX_ATTEMPTS", cls.max_attempts),
            backoff_seconds=_seconds(environment, "NCMIX_BACKOFF_SECONDS", cls.backoff_seconds),
            log_limit=_whole(environment, "NCMIX_LOG_LIMIT", cls.log_limit),
            feature_store=_feature_store(environment),
            feature_quota=_whole(environment, "NCMIX_FEATURE_QUOTA", 0)
            if environment.get("NCMIX_FEATURE_QUOTA")
            else None,
            import_limit=_whole(environment, "NCMIX_IMPORT_LIMIT", cls.import_limit),
            log_format=_one_of(environment, "NCMIX_LOG_FORMAT", get_args(LogFormat), cls.log_format),
            keep=_keep(environment),
            heartbeat_dir=Path(folder) if (folder := environment.get("NCMIX_HEARTBEAT_DIR")) else None,
            trusted_network=_one_of(environment, "NCMIX_TRUSTED_NETWORK", ("0", "1"), "0") == "1",
            change_rate=_rate(environment, "NCMIX_CHANGE_RATE", cls.change_rate),
            failure_rate=_rate(environment, "NCMIX_FAILURE_RATE", cls.failure_rate),
        )
        if settings.renew_seconds > settings.lease_seconds / 2:
            raise SettingsError(
                f"NCMIX_RENEW_SECONDS is {settings.renew_seconds:g}; allowed is at most half of NCMIX_LEASE_SECONDS, "
                f"which is {settings.lease_seconds:g}."
            )
        return settings

    @property
    def broker_folder(self) -> Path:
        """Where the embedded queue keeps its messages."""
        return self.home / "broker"

    @property
    def margin_seconds(self) -> float:
        """How long before its lease ends a worker that cannot renew it kills its child."""
        return self.lease_seconds / 6


def _secret(environment: Mapping[str, str], name: str) -> str | None:
    try:
        return secret(environment, name)
    except SecretError as error:
        raise SettingsError(str(error)) from error


def _database_url(url: str | None, home: Path) -> str:
    """With the driver that we ship: `postgresql://` alone would ask for one that is not installed."""
    if url is None:
        return f"sqlite:///{home / 'ncmix.db'}"
    scheme, _, rest = url.partition("://")
    match scheme:
        case "sqlite":
            return url
        case "postgresql" | "postgres" | "postgresql+psycopg":
            return f"postgresql+psycopg://{rest}"
        case _:
            raise SettingsError(
                f"NCMIX_DATABASE_URL begins with {scheme!r}; allowed are sqlite:///path and postgresql://…"
            )


def _broker_url(url: str | None) -> str:
    if url is None:
        return "filesystem://localhost//"
    if not url.startswith(("redis://", "rediss://", "filesystem://")):
        raise SettingsError(
            f"NCMIX_BROKER_URL begins with {url.partition('://')[0]!r}; allowed are redis://…, rediss://… and "
            "filesystem://localhost//."
        )
    return url


def _feature_store(environment: Mapping[str, str]) -> str:
    url = environment.get("NCMIX_FEATURE_STORE") or "sql"
    if url != "sql" and not re.fullmatch(r"file:///[^?#]+|s3://[a-z0-9][a-z0-9.-]+(/[^?#]*)?", url):
        raise SettingsError(f"NCMIX_FEATURE_STORE is {url!r}; allowed are sql, file:///folder and s3://bucket/prefix.")
    return url.rstrip("/")


def _data(environment: Mapping[str, str], home: Path) -> DataHome:
    try:
        return DataHome.from_environment({**environment, "NCMIX_HOME": str(home)})
    except DataHomeError as error:
        raise SettingsError(str(error)) from error


def _keep(environment: Mapping[str, str]) -> Keep:
    size = "NCMIX_KEEP_FEATURE_BYTES"
    return Keep(
        checkpoint_days=_days(environment, "NCMIX_KEEP_CHECKPOINT_DAYS"),
        feature_days=_days(environment, "NCMIX_KEEP_FEATURE_DAYS"),
        feature_bytes=_whole(environment, size, 1) if environment.get(size) else None,
        log_days=_days(environment, "NCMIX_KEEP_LOG_DAYS"),
    )


def _days(environment: Mapping[str, str], name: str) -> float | None:
    if not (text := environment.get(name)):
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 10**6:
        raise SettingsError(f"{name} is {text!r}; allowed is a number of days from 0, or nothing: for ever.")
    return value


def _one_of(environment: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> Any:
    value = environment.get(name) or default
    if value not in allowed:
        raise SettingsError(f"{name} is {value!r}; allowed are {', '.join(allowed)}.")
    return value


def _slots(environment: Mapping[str, str]) -> tuple[str, ...]:
    text = environment.get("NCMIX_SLOTS") or "auto"
    words = tuple(word.strip() for word in text.split(","))
    if words != ("auto",) and not all(_SLOT.fullmatch(word) for word in words):
        raise SettingsError(
            f"NCMIX_SLOTS is {text!r}; allowed are auto, or words with commas between, one a slot: cpu, and GPUs by "
            "number or UUID as CUDA_VISIBLE_DEVICES has them, 0+1 for a slot of two."
        )
    return words


def _seconds(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 10**9:
        raise SettingsError(f"{name} is {text!r}; allowed is a number of seconds above 0.")
    return value


def _share(environment: Mapping[str, str], name: str, default: float) -> float:
    text = environment.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise SettingsError(f"{name} is {text!r}; allowed is a share above 0, up to 1.")
    return value


def _rate(environment: Mapping[str, str], name: str, default: str) -> str:
    text = environment.get(name) or default
    if not _RATE.fullmatch(text):
        raise SettingsError(f"{name} is {text!r}; allowed is a number a second, minute, hour or day, as in 600/minute.")
    return text


def _whole(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not text.isdecimal() or int(text) < 1:
        raise SettingsError(f"{name} is {text!r}; allowed is a whole number from 1.")
    return int(text)
