"""The only reader of the environment: every variable is ASSAY_ and a field below.

    ASSAY_HOME=/var/lib/assay ASSAY_LABEL_STUDIO_URL=https://label.example.org assay up

A bad value stops the process at start with the name of the variable.
"""

from __future__ import annotations

from base64 import b64decode
from functools import cache
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.exc import ArgumentError

from db.session import psycopg_url

STACK_FILE = "stack.env"
BROKER_SCHEMES = frozenset({"redis", "rediss", "redis+socket", "sentinel", "amqp", "amqps", "pyamqp"})


class SettingsError(Exception):
    """An environment variable has a value that cannot be used."""


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="ASSAY_", extra="ignore")

    home: Path = Field(default=Path(".assay"), description="folder of everything the one-machine stack keeps")

    database_url: SecretStr | None = Field(default=None, description="PostgreSQL; default: the embedded one")
    broker_url: SecretStr | None = Field(default=None, description="Redis or RabbitMQ; default: the embedded Redis")

    label_studio_url: str | None = Field(default=None, description="Label Studio; default: our own, started by us")
    label_studio_token: SecretStr | None = Field(default=None, description="its access token")
    label_studio_instance: str = Field(default="main", description="our name for that Label Studio; keep it")
    label_studio_python: Path | None = Field(
        default=None, description="python of the virtual environment that has label-studio, for `assay up`"
    )
    label_studio_timeout_seconds: float = Field(default=300.0, gt=0)
    label_studio_import_chunk: int = Field(default=1000, ge=1, le=10_000)

    web_host: str = "127.0.0.1"
    web_port: int = Field(default=8040, ge=1, le=65_535)
    label_studio_port: int = Field(default=8041, ge=1, le=65_535)
    redis_port: int = Field(default=8042, ge=1, le=65_535)
    start_timeout_seconds: float = Field(default=400.0, gt=0, description="patience with a part that starts")

    ingest_token: SecretStr | None = Field(default=None, description="bearer token of POST /api/utterances")
    webhook_secret: SecretStr | None = Field(default=None, description="value of X-Assay-Secret on webhooks")
    webhook_base_url: str | None = Field(default=None, description="our address as Label Studio sees it")
    ingest_max_request_bytes: int = Field(default=64 * 2**20, ge=1024)

    scoring_batch_size: int = Field(default=2048, ge=1, le=100_000)
    reconcile_overlap_seconds: int = Field(default=300, ge=0)
    refresh_seconds: float = Field(
        default=20.0, ge=0, description="the least time between two looks for arrivals in a locale; 0: only by hand"
    )
    device: str = Field(default="auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$")
    torch_threads: int = Field(default=0, ge=0, description="0: as torch decides")
    replicates: int = Field(default=5, ge=1, le=50)
    training_seeds: int = Field(
        default=6, ge=1, le=50, description="seeds each arm of a run is trained with; below 6, nothing can be decided"
    )
    snapshots: int = Field(
        default=0, ge=0, le=50, description="epochs a new model keeps, for variability and forgetting; 0: off"
    )
    dropout_passes: int = Field(
        default=0, ge=0, le=100, description="passes with dropout a new model makes over an utterance; 0: off"
    )
    encoder: str | None = Field(default=None, description="pretrained encoder a new model reads too; default: none")
    watch_seconds: float = Field(
        default=3600.0, ge=0, description="the least time between two looks for drift in a locale; 0: only by hand"
    )
    drift_days: int = Field(default=7, ge=1, description="traffic of so many days is held to the four times before")
    drift_review_days: int = Field(default=28, ge=1, description="the same for reviews")
    drift_fewest: int = Field(default=500, ge=50, description="arrivals on either side, or nothing is told of them")
    drift_fewest_reviews: int = Field(default=100, ge=20, description="reviews of control items on either side")
    drift_stability: float = Field(default=0.2, gt=0, description="stability index of an alarm")
    drift_ranking: float = Field(default=0.1, gt=0, le=1, description="loss of area by which scores rank errors")
    drift_accepts: float = Field(default=0.15, gt=0, le=1, description="change of a share of accepted hypotheses")
    drift_calibration: float = Field(default=0.1, gt=0, le=1, description="expected calibration error of an alarm")
    alarm_webhook_url: SecretStr | None = Field(
        default=None, description="where alarms are sent, as Standard Webhooks; its query may hold a secret"
    )
    alarm_webhook_secret: SecretStr | None = Field(default=None, description="whsec_ and base64 of 24 to 64 bytes")
    ready_file: Path | None = Field(default=None, description="a worker or beat makes this file when it is ready")
    log_level: str = Field(default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$")

    @field_validator("snapshots", "dropout_passes")
    @classmethod
    def _is_none_or_several(cls, number: int) -> int:
        if number == 1:
            raise ValueError("must be 0, for none, or at least 2: one alone has nothing to differ from")
        return number

    @field_validator("alarm_webhook_url")
    @classmethod
    def _is_an_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            parts = urlsplit(url.get_secret_value())
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ValueError("must be like https://alarms.example.org/assay")
        return url

    @field_validator("alarm_webhook_secret")
    @classmethod
    def _is_a_key(cls, secret: SecretStr | None) -> SecretStr | None:
        # https://www.standardwebhooks.com: between 24 and 64 bytes.
        if secret is not None and not 24 <= len(_decoded(secret.get_secret_value())) <= 64:
            raise ValueError("must be whsec_ and the base64 of 24 to 64 random bytes")
        return secret

    @model_validator(mode="after")
    def _signs_what_it_sends(self) -> Self:
        if self.alarm_webhook_url is not None and self.alarm_webhook_secret is None:
            raise ValueError("ASSAY_ALARM_WEBHOOK_URL needs ASSAY_ALARM_WEBHOOK_SECRET: alarms are signed")
        return self

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr | None) -> SecretStr | None:
        try:
            if url is not None:
                psycopg_url(url.get_secret_value())
        except (ArgumentError, ValueError):
            raise ValueError("must be like postgresql://user:password@host:5432/database") from None
        return url

    @field_validator("broker_url")
    @classmethod
    def _is_redis_or_rabbitmq(cls, url: SecretStr | None) -> SecretStr | None:
        # More than one, between semicolons: Celery fails over.
        if url is not None and not all(map(_is_broker, url.get_secret_value().split(";"))):
            raise ValueError("must be like redis://:password@host:6379/0 or amqp://user:password@host:5672//")
        return url

    @property
    def models_folder(self) -> Path:
        return self.home.resolve() / "models"


def _decoded(secret: str) -> bytes:
    """Empty where it is no base64."""
    try:
        return b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return b""


def _is_broker(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port_is_number = parts.port is None or parts.port >= 0
    except ValueError:
        return False
    return parts.scheme in BROKER_SCHEMES and port_is_number


def load_settings(*, with_stack_file: bool = True) -> Settings:
    """Read the environment; `ASSAY_HOME/stack.env`, which `assay up` writes, fills what the environment leaves open."""
    try:
        given = Settings()
        return Settings(_env_file=given.home / STACK_FILE) if with_stack_file else given  # type: ignore[call-arg]
    except ValidationError as error:
        raise SettingsError("; ".join(map(_said, error.errors()))) from None
    except (UnicodeDecodeError, OSError) as error:
        raise SettingsError(f"{given.home / STACK_FILE} cannot be read: {error}") from None


def _said(item: ErrorDetails) -> str:
    """What is wrong with one variable, or with several together, which the message then names."""
    message = item["msg"].removeprefix("Value error, ")
    return f"ASSAY_{'_'.join(str(part) for part in item['loc']).upper()}: {message}" if item["loc"] else message


@cache
def get_settings() -> Settings:
    return load_settings()
