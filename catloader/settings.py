"""Every knob there is, read once from the environment.

``docs/settings.md`` is generated from this file (``python -m catloader.settings``); a test fails
when the two differ. Units stand in the names.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from catloader.errors import SettingError

_SECTIONS = ("Site", "Uploads", "Storage", "Checking", "Wake-ups")


def _knob(env: str, default: Any, section: str, doc: str, **more: Any) -> Any:
    return field(default=default, metadata={"env": env, "section": section, "doc": doc, **more})


@dataclass(frozen=True, slots=True)
class Settings:
    """One process's configuration. Build it with ``from_environment``."""

    data_dir: Path = _knob(
        "CATLOADER_DATA_DIR",
        Path("data"),
        "Site",
        "Folder of everything that lasts: the SQLite database, the embedded S3, keys, your own profiles.",
    )
    host: str = _knob("CATLOADER_HOST", "127.0.0.1", "Site", "Address to listen on; `0.0.0.0` for all.")
    port: int = _knob("CATLOADER_PORT", 8000, "Site", "TCP port of the site.", low=1, high=65535)
    web_processes: int = _knob(
        "CATLOADER_WEB_PROCESSES",
        1,
        "Site",
        "gunicorn processes. Each loads the network when `CATCHECK_DISPATCH=thread` or `internal`: about 400 MB apiece.",
        low=1,
        high=64,
    )
    web_threads: int = _knob(
        "CATLOADER_WEB_THREADS", 8, "Site", "Request threads of each process.", low=1, high=256
    )
    stalled_s: float = _knob(
        "CATLOADER_STALLED_S",
        60.0,
        "Site",
        "A request that moves no byte for so long is dropped: it would keep its thread. Slow ones may take their time.",
        low=0.1,
    )
    secret_key: str = _knob(
        "CATLOADER_SECRET_KEY",
        "",
        "Site",
        "Signs the session cookies. Empty: made at the first start and kept in the data folder.",
        secret=True,
    )
    trusted_proxies: int = _knob(
        "CATLOADER_TRUSTED_PROXIES",
        0,
        "Site",
        "How many reverse proxies stand in front; that many `X-Forwarded-*` entries are believed.",
        low=0,
        high=10,
    )
    login_rate: str = _knob(
        "CATLOADER_LOGIN_RATE",
        "10 per minute; 100 per hour",
        "Site",
        "Log-in attempts allowed per address; counts questions for the password again, too.",
    )
    register_rate: str = _knob(
        "CATLOADER_REGISTER_RATE",
        "20 per minute; 200 per hour",
        "Site",
        "Registrations allowed per address (each costs a password hash).",
    )
    rate_limit_storage_url: str = _knob(
        "CATLOADER_RATE_LIMIT_STORAGE_URL",
        "memory://",
        "Site",
        "Where attempts are counted; `redis://...` (with `pip install redis`) makes several processes count together.",
        secret=True,
    )
    min_free_bytes: int = _knob(
        "CATLOADER_MIN_FREE_BYTES",
        200 * 2**20,
        "Site",
        "The site does not start, and takes no uploads, with less disk than this free in the data folder.",
        low=0,
    )
    max_file_bytes: int = _knob(
        "CATLOADER_MAX_FILE_BYTES", 25 * 2**20, "Uploads", "Largest file taken.", low=1
    )
    max_files: int = _knob(
        "CATLOADER_MAX_FILES",
        100,
        "Uploads",
        "Most files in one request. A request may spool `max_files x max_file_bytes` to the temporary folder.",
        low=1,
    )
    max_pixels: int = _knob(
        "CATLOADER_MAX_PIXELS",
        64_000_000,
        "Uploads",
        "Most pixels in a picture, read from its header before decoding. Decoding takes 3 to 12 bytes a pixel, of a WebP up to 19.",
        low=1,
    )
    max_edge_px: int = _knob(
        "CATLOADER_MAX_EDGE_PX",
        2560,
        "Uploads",
        "Longest edge of the stored photo; larger ones are scaled down.",
        low=64,
    )
    thumbnail_px: int = _knob(
        "CATLOADER_THUMBNAIL_PX", 320, "Uploads", "Side of the square thumbnail.", low=32, high=2048
    )
    jpeg_quality: int = _knob(
        "CATLOADER_JPEG_QUALITY", 88, "Uploads", "Quality of the stored photo and thumbnail.", low=40, high=98
    )
    decode_slots: int = _knob(
        "CATLOADER_DECODE_SLOTS",
        2,
        "Uploads",
        "Uploads decoded at the same time in one process: bounds memory at about `slots x max_pixels x 19` bytes (2.4 GB as shipped, with WebPs of that size; JPEGs take a fifth).",
        low=1,
        high=64,
    )
    database_url: str = _knob(
        "DATABASE_URL",
        "",
        "Storage",
        "`postgresql://user:password@host/name`, or empty for SQLite in the data folder.",
        secret=True,
    )
    s3_endpoint_url: str = _knob(
        "AWS_ENDPOINT_URL_S3",
        "",
        "Storage",
        "Any S3 server. Empty: the embedded SeaweedFS is started and used.",
    )
    s3_access_key_id: str = _knob(
        "AWS_ACCESS_KEY_ID", "", "Storage", "Key of that server; made up for the embedded one.", secret=True
    )
    s3_secret_access_key: str = _knob(
        "AWS_SECRET_ACCESS_KEY", "", "Storage", "Secret of that key.", secret=True
    )
    s3_region: str = _knob("AWS_REGION", "us-east-1", "Storage", "Region of that server.")
    s3_photos_bucket: str = _knob(
        "CATLOADER_PHOTOS_BUCKET",
        "catloader-photos",
        "Storage",
        "Private bucket of the photos; made when missing.",
    )
    s3_thumbnails_bucket: str = _knob(
        "CATLOADER_THUMBNAILS_BUCKET",
        "catloader-thumbnails",
        "Storage",
        "Private bucket of the thumbnails; made when missing.",
    )
    delivery: str = _knob(
        "CATLOADER_DELIVERY",
        "app",
        "Storage",
        "`app`: pictures pass through the site. `url`: the browser is sent to a signed S3 URL that is good for a short while.",
        choices=("app", "url"),
    )
    url_ttl_s: int = _knob(
        "CATLOADER_URL_TTL_S", 300, "Storage", "Life of a signed S3 URL.", low=10, high=86400
    )
    model: str = _knob(
        "CATCHECK_MODEL",
        "auto",
        "Checking",
        "A name from `catloader models ls`, or `auto`: the network that `catloader models promote` chose, else the best whose weights are on disk.",
    )
    weights_dir: Path = _knob(
        "CATCHECK_WEIGHTS_DIR", Path("models/weights"), "Checking", "Where fetched weights lie."
    )
    device: str = _knob(
        "CATCHECK_DEVICE",
        "auto",
        "Checking",
        "`auto` takes a GPU when there is one.",
        choices=("auto", "cpu", "cuda"),
    )
    runtime: str = _knob(
        "CATCHECK_RUNTIME",
        "auto",
        "Checking",
        "What runs the network; `auto` takes the fastest one whose profile holds the target.",
        choices=("auto", "torch", "openvino"),
    )
    precision: str = _knob(
        "CATCHECK_PRECISION",
        "auto",
        "Checking",
        "Arithmetic of the network.",
        choices=("auto", "fp32", "bf16", "fp16", "int8"),
    )
    decoder: str = _knob(
        "CATCHECK_DECODER",
        "cpu",
        "Checking",
        "What decodes stored photos: the `cpu`, or `nvjpeg` on a GPU (`pip install torchcodec`), which needs a profile of its own.",
        choices=("cpu", "nvjpeg"),
    )
    subject: str = _knob(
        "CATCHECK_SUBJECT",
        "house_cat",
        "Checking",
        "What is looked for: `house_cat`, `feline`, `dog`, or a TOML file that lists ImageNet classes.",
    )
    max_false_positive_rate: float = _knob(
        "CATCHECK_MAX_FALSE_POSITIVE_RATE",
        0.01,
        "Checking",
        "Share of other photos that may be called cat; picks the measured threshold.",
        low=0.0001,
        high=0.5,
    )
    max_false_negative_rate: float = _knob(
        "CATCHECK_MAX_FALSE_NEGATIVE_RATE",
        0.01,
        "Checking",
        "Share of cats that may be called not_cat; what lies between the two thresholds is `unsure`.",
        low=0.0001,
        high=0.5,
    )
    workers: int = _knob(
        "CATCHECK_WORKERS",
        0,
        "Checking",
        "Threads that fetch, decode and classify; 0: one per core.",
        low=0,
        high=256,
    )
    batch_photos: int = _knob(
        "CATCHECK_BATCH_PHOTOS",
        4,
        "Checking",
        "Photos of one micro-batch (each is two pictures: photo and thumbnail). Larger ones are slower on CPUs.",
        low=1,
        high=256,
    )
    lease_s: float = _knob(
        "CATCHECK_LEASE_S",
        120.0,
        "Checking",
        "How long a claimed photo belongs to its checker; after that another one may take it.",
        low=0.1,
    )
    max_attempts: int = _knob(
        "CATCHECK_MAX_ATTEMPTS", 5, "Checking", "Attempts before a photo is `failed`.", low=1, high=100
    )
    backoff_s: float = _knob(
        "CATCHECK_BACKOFF_S",
        5.0,
        "Checking",
        "Wait before the second attempt; doubles each time, up to an hour.",
        low=0.0,
    )
    dispatch: str = _knob(
        "CATCHECK_DISPATCH",
        "thread",
        "Wake-ups",
        "How a check is fired: `thread` (this process), `internal` (a thread POSTs to this site's own endpoint), `external` (a thread POSTs to `CATCHECKER_URL`), `off` (only `catloader worker` or `catloader check run` check).",
        choices=("thread", "internal", "external", "off"),
    )
    checker_url: str = _knob(
        "CATCHECKER_URL", "", "Wake-ups", "The stand-alone Cat Checker, as in `http://127.0.0.1:8001`."
    )
    checker_port: int = _knob(
        "CATCHECKER_PORT", 8001, "Wake-ups", "TCP port of `catloader checker serve`.", low=1, high=65535
    )
    webhook_secret: str = _knob(
        "CATCHECK_WEBHOOK_SECRET",
        "",
        "Wake-ups",
        "Shared by site and checker, `whsec_` + base64. Empty: made at the first start and kept in the data folder.",
        secret=True,
    )
    sweep_s: float = _knob(
        "CATCHECK_SWEEP_S",
        15.0,
        "Wake-ups",
        "Every so often the checker looks for photos whose wake-up was lost, and the deletion ledger is worked off.",
        low=0.05,
    )

    @property
    def sqlalchemy_url(self) -> str:
        """The database, with the driver named."""
        url = self.database_url
        if not url:
            return f"sqlite:///{self.data_dir.resolve() / 'catloader.sqlite3'}"
        for prefix in ("postgres://", "postgresql://"):
            if url.startswith(prefix):
                return "postgresql+psycopg://" + url.removeprefix(prefix)
        return url

    @property
    def embedded_s3(self) -> bool:
        return not self.s3_endpoint_url

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, **overrides: Any) -> Settings:
        """Read, convert and check; ``overrides`` (by field name) win over the environment.

        Raises:
            SettingError: names the variable, its value and what it takes.
        """
        values: dict[str, Any] = {}
        for knob in fields(cls):
            raw = environ.get(knob.metadata["env"], "").strip()
            if raw and knob.name not in overrides:
                values[knob.name] = _parse(knob, raw)
        settings = cls(**{**values, **overrides})
        settings._check()
        return settings

    def _check(self) -> None:
        if self.dispatch == "external" and not self.checker_url:
            raise SettingError(
                "CATCHECK_DISPATCH=external needs CATCHECKER_URL, the address of the Cat Checker."
            )
        if not self.embedded_s3 and not (self.s3_access_key_id and self.s3_secret_access_key):
            raise SettingError(
                "AWS_ENDPOINT_URL_S3 is set, so AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be too."
            )
        if not self.sqlalchemy_url.startswith(("sqlite:", "postgresql+psycopg:")):
            raise SettingError("DATABASE_URL must begin with postgresql:// or sqlite:///.")


def _parse(knob: Field[Any], raw: str) -> Any:
    kind: type[Any] = type(knob.default)
    meta = knob.metadata
    shown = "(hidden)" if meta.get("secret") else repr(raw)
    try:
        value = kind(raw)
    except ValueError:
        wants = "a whole number" if kind is int else "a number"
        raise SettingError(f"{meta['env']} is {shown}; it takes {wants}.") from None
    if "choices" in meta and value not in meta["choices"]:
        raise SettingError(f"{meta['env']} is {shown}; it takes one of {', '.join(meta['choices'])}.")
    low, high = meta.get("low"), meta.get("high")
    # `not (low <= value)` rather than `value < low`: NaN must not slip through.
    if (low is not None and not low <= value) or (high is not None and not value <= high):
        limits = f"at least {low}" if high is None else f"{low} to {high}"
        raise SettingError(f"{meta['env']} is {shown}; it takes {limits}.")
    return value


def kept_secret(path: Path, make: str = "") -> str:
    """Read a secret from the data folder, or make it there first (mode 600).

    Processes that start together agree on one: the file appears whole, under its name, or not at all.
    """
    if not path.exists():
        draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(make or secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text().strip()


def as_markdown() -> str:
    """``docs/settings.md``."""
    lines = [
        "# Settings",
        "",
        "Generated by `python -m catloader.settings`; every knob is an environment variable.",
        "",
    ]
    for section in _SECTIONS:
        lines += [f"## {section}", "", "| variable | default | what it does |", "| --- | --- | --- |"]
        for knob in fields(Settings):
            meta = knob.metadata
            if meta["section"] == section:
                default = f"`{knob.default}`" if str(knob.default) else "empty"
                choices = (
                    " Takes " + ", ".join(f"`{c}`" for c in meta["choices"]) + "."
                    if "choices" in meta
                    else ""
                )
                lines.append(f"| `{meta['env']}` | {default} | {meta['doc']}{choices} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    Path("docs/settings.md").write_text(as_markdown())
