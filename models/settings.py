"""Every setting, typed and described in one place; read at the edges only.

Environment `SHIXIANG_*` or a file `.env` in the working directory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_DATABASES = ("sqlite", "postgresql://", "postgres://", "postgresql+")


class Settings(BaseSettings):
    """What an office may set. Paths are made absolute when read."""

    model_config = SettingsConfigDict(env_prefix="SHIXIANG_", env_file=".env", extra="ignore")

    home: Path = Field(default=Path("var"), description="where databases, documents, mailbox and the secret lie")
    database_url: str = Field(default="", description="our data; empty = SQLite in home")
    portal_url: str = Field(default="", description="address in links; empty = the local portal")
    portal_port: int = Field(default=8080, ge=1, le=65535)
    prefect_port: int = Field(default=4200, ge=1, le=65535)
    mailbox_port: int = Field(default=2525, ge=1, le=65535)
    mail_url: str = Field(default="", description="apprise mailto:// address without recipient; empty = local mailbox")
    prefect_database_url: str = Field(default="", description="Prefect's own data; empty = beside ours")
    hot_seconds: float = Field(default=30.0, ge=0, description="how long a run stays awake after a pass")
    hot_cap: int = Field(default=40, ge=1, description="how many changes may stay awake at once")
    legs_a_run: int = Field(default=300, ge=1, description="after so many legs a change goes on in a new run")
    days_a_run: float = Field(default=60.0, gt=0, description="after so many days a change goes on in a new run")
    engine_memory_mb: int = Field(
        default=1024, ge=0, description="an engine that holds more memory (MB) starts anew once it is idle; 0 = never"
    )
    engine_idle_seconds: float = Field(
        default=60.0, ge=0, description="how long nothing was taken up before an engine counts as idle"
    )
    collect_minutes: float = Field(default=20.0, ge=0, description="collecting time of notices; 0 = each at once")
    watch_seconds: int = Field(default=600, ge=5, description="how often watch runs")
    proof: Literal["none", "session", "code"] = Field(
        default="none",
        description="proof asked for at scope, legality, list, naming and approval; procedures may say otherwise",
    )
    clock: Path | None = Field(default=None, description="a file with an offset in seconds; sample office only")

    @field_validator("proof", mode="before")
    @classmethod
    def _proof(cls, value: object) -> object:
        if value == "oidc":
            raise ValueError("统一认证（oidc）尚未支持，请改用 session 或者 code")
        return value

    @field_validator("database_url", "prefect_database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        if value and not value.startswith(_DATABASES):
            raise ValueError("应为 postgresql://用户:密码@主机/库名，或者留空")
        return value

    @property
    def home_path(self) -> Path:
        """The home as an absolute path."""
        return self.home.expanduser().resolve()

    @property
    def business_url(self) -> str:
        """The SQLAlchemy address of our own data."""
        if self.database_url.startswith(("postgresql://", "postgres://")):
            return "postgresql+psycopg://" + self.database_url.split("://", 1)[1]
        return self.database_url or f"sqlite:///{self.home_path / 'shixiang.db'}"

    @property
    def portal_address(self) -> str:
        """The address that links in notices begin with, without a slash at the end."""
        return (self.portal_url or f"http://127.0.0.1:{self.portal_port}").rstrip("/")

    @property
    def prefect_api(self) -> str:
        """Prefect's REST address as our own clients use it."""
        return f"http://127.0.0.1:{self.prefect_port}/api"

    @property
    def mail_address(self) -> str:
        """The apprise address mails leave by."""
        return self.mail_url or f"mailto://127.0.0.1:{self.mailbox_port}?from=shixiang@localhost.local&mode=insecure"
