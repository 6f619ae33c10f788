"""Every setting: environment variable, default, bounds and meaning, one per line.

``docs/settings.md`` is generated from this table (``python -m catloader.settings``); a test fails if the two
differ. Units are part of the names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from catloader.logs import LogFormat
from catloader.settings.addresses import (
    BrokerAddress,
    DatabaseAddress,
    HttpAddress,
    IssuerAddress,
    StoreAddress,
    WebhookAddress,
)
from catloader.settings.combinations import check_together
from catloader.settings.kinds import (
    AttemptRate,
    BearerToken,
    BucketName,
    EmailAddress,
    Folder,
    HostName,
    HostNames,
    ListenAddress,
    RegionName,
    SigningKey,
    WebhookSecret,
    WebhookSecrets,
)
from catloader.settings.row import setting
from checker.isolation.limits import DEFAULT_LIMITS
from checker.pixels.sizes import DEFAULT_SIZES
from checker.process.cores import available_cores
from checker.runtimes.names import Decoder, Device, Precision, Runtime
from models.catalogue import default_weights_dir

Delivery = Literal["app", "url"]
OffOrOn = Literal["off", "on"]
Registration = Literal["open", "invitation", "closed"]
SmtpTls = Literal["starttls", "tls", "off"]
Dispatch = Literal["thread", "internal", "external", "celery", "off"]

_NO_SECRET = SecretStr("")


class Settings(BaseSettings):
    """The configuration of one process. Immutable; ``from_environment`` reads it.

    ``Settings(port=8080)`` has the defaults of all other settings and reads no environment.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid")

    # fmt: off
    data_dir: Folder = setting("CATLOADER_DATA_DIR", Path("data"), "Site", "Folder of all persistent data: the SQLite database, the embedded S3, keys, and profiles measured on this machine. A relative path begins in the folder in which the command is started.")
    host: ListenAddress = setting("CATLOADER_HOST", "127.0.0.1", "Site", "Address to listen on; `0.0.0.0` for all IPv4 addresses, `::` for IPv4 and IPv6.")
    port: int = setting("CATLOADER_PORT", 8000, "Site", "TCP port of the site.", ge=1, le=65535)
    web_processes: int = setting("CATLOADER_WEB_PROCESSES", 1, "Site", "Number of web processes. With `CATCHECK_DISPATCH=thread` or `internal`, each of them loads the model, which takes about 400 MB.", ge=1, le=64)
    web_threads: int = setting("CATLOADER_WEB_THREADS", 8, "Site", "Request threads of each process. A third of them serve only pages; uploads and photos, which may have to wait for S3, use the others.", ge=2, le=256)
    uploads_at_once: int = setting("CATLOADER_UPLOADS_AT_ONCE", 0, "Site", "Number of received uploads that a process handles at the same time. The same number of further uploads wait for up to 12 seconds; others get 503 with `Retry-After` at once. 0: one for each core, at least 2.", ge=0, le=256)
    connections: int = setting("CATLOADER_CONNECTIONS", 2000, "Site", "Maximum number of open connections of each process; further connections wait. A request is received completely before it gets a thread. Until then it takes up to 64 KiB of memory; a longer request is stored in the temporary folder.", ge=8, le=100_000)
    stalled_s: float = setting("CATLOADER_STALLED_S", 60.0, "Site", "A connection without progress for this long in the middle of a request or response is closed.", ge=0.1, le=86_400.0)
    head_s: float = setting("CATLOADER_HEAD_S", 20.0, "Site", "Time limit for the head of a request, after which the connection is closed.", ge=0.1, le=86_400.0)
    body_bytes_per_s: float = setting("CATLOADER_BODY_BYTES_PER_S", 1000.0, "Site", "Lowest average rate at which a request's body must arrive after the first `CATLOADER_STALLED_S`; slower connections are closed.", ge=1.0)
    metrics_token: BearerToken = setting("CATLOADER_METRICS_TOKEN", _NO_SECRET, "Site", "Token for `/metrics`, which requests send as `Authorization: Bearer TOKEN`. Empty: the page is off.")
    log_format: LogFormat = setting("CATLOADER_LOG_FORMAT", "text", "Site", "Format of the log, on standard error and output: `text`, or `json` with an object on each line.")
    access_log: bool = setting("CATLOADER_ACCESS_LOG", False, "Site", "Log each request: time, address, method, path without query, status, bytes, duration, the request's id and those of its photos.")
    secret_key: SigningKey = setting("CATLOADER_SECRET_KEY", _NO_SECRET, "Site", "Key that signs log-ins, forms and API tokens, of at least 16 characters. Another key ends all log-ins and tokens. Empty: created at the first start and stored in the data folder.")
    trusted_proxies: int = setting("CATLOADER_TRUSTED_PROXIES", 0, "Site", "Number of reverse proxies in front of the site; the same number of `X-Forwarded-*` entries is trusted.", ge=0, le=10)
    trusted_hosts: HostNames = setting("CATLOADER_TRUSTED_HOSTS", "", "Site", "Host names under which the site may be called, separated by commas; `.example.org` includes all subdomains. Empty: any. `localhost`, 127.0.0.1, ::1 and the address of `CATLOADER_HOST` are always allowed, and `/livez`, `/healthz`, `/readyz` and `/metrics` under any name.")
    hsts_s: int = setting("CATLOADER_HSTS_S", 31_536_000, "Site", "Time for which browsers that used https must keep using https (`Strict-Transport-Security`); 0: the header is not sent.", ge=0)
    public_url: HttpAddress = setting("CATLOADER_PUBLIC_URL", "", "Site", "Address under which people reach the site, as in `https://cats.example.org`: for links in mails, links that are shared or handed out, and the redirect from a log-in provider. Empty: links that are shared begin with the address in the browser.")
    min_free_bytes: int = setting("CATLOADER_MIN_FREE_BYTES", 200 * 2**20, "Site", "Minimum free disk space. With less in the data folder, the site does not start and accepts no uploads; with less in the temporary folder, it accepts no uploads.", ge=0)

    session_idle_days: float = setting("CATLOADER_SESSION_IDLE_DAYS", 14.0, "Accounts", "A log-in ends after this time without a page view.", ge=0.01, le=3650.0)
    session_days: float = setting("CATLOADER_SESSION_DAYS", 90.0, "Accounts", "A log-in ends after this time in any case.", ge=0.01, le=3650.0)
    registration: Registration = setting("CATLOADER_REGISTRATION", "open", "Accounts", "Who may create an account: anybody (`open`), those with an invitation of an administrator (`invitation`), or nobody (`closed`: `catloader user create` makes accounts).")
    invitation_days: float = setting("CATLOADER_INVITATION_DAYS", 7.0, "Accounts", "Validity of an invitation, which is for one account.", ge=0.01, le=365.0)
    password_link_minutes: float = setting("CATLOADER_PASSWORD_LINK_MINUTES", 60.0, "Accounts", "Validity of a link from an administrator to set a new password, which is for one use.", ge=1.0, le=10_080.0)
    quota_photos: int = setting("CATLOADER_QUOTA_PHOTOS", 0, "Accounts", "Maximum number of photos of an account, including the bin; 0: no limit. Administrators can set a different limit for an account.", ge=0, le=2**31 - 1)
    quota_bytes: int = setting("CATLOADER_QUOTA_BYTES", 0, "Accounts", "Maximum size of an account's stored photos; 0: no limit.", ge=0)
    max_sessions: int = setting("CATLOADER_MAX_SESSIONS", 50, "Accounts", "Browsers in which one account may be logged in; a further log-in ends the session that was unused for the longest time. A session takes about 200 bytes in the database.", ge=1)
    max_api_tokens: int = setting("CATLOADER_MAX_API_TOKENS", 20, "Accounts", "Maximum number of API tokens of one account.", ge=0, le=1000)
    password_rate: AttemptRate = setting("CATLOADER_PASSWORD_RATE", "10 per 15 minutes", "Accounts", "Limit of wrong passwords for one account, from all addresses together; beyond it, no password is evaluated. They are counted in the database, with about 20 bytes each.")
    login_rate: AttemptRate = setting("CATLOADER_LOGIN_RATE", "10 per minute; 100 per hour", "Accounts", "Limit of log-ins, successful or not, from one network (IPv4 /24, IPv6 /48); forms that ask for the password again count too.")
    register_rate: AttemptRate = setting("CATLOADER_REGISTER_RATE", "20 per minute; 200 per hour", "Accounts", "Limit of sign-ups from one network (each costs a password hash).")

    oidc_issuer: IssuerAddress = setting("CATLOADER_OIDC_ISSUER", "", "Accounts", "Address of an OpenID provider through which people can also log in, as in `https://id.example.org`. Empty: none. Needs `CATLOADER_OIDC_CLIENT_ID` and `CATLOADER_PUBLIC_URL`; register the address `CATLOADER_PUBLIC_URL` + `/login/oidc/callback` at the provider.")
    oidc_client_id: str = setting("CATLOADER_OIDC_CLIENT_ID", "", "Accounts", "Client id of the site at the provider.")
    oidc_client_secret: SecretStr = setting("CATLOADER_OIDC_CLIENT_SECRET", _NO_SECRET, "Accounts", "Client secret of the site at the provider. Empty: only PKCE.")
    oidc_name: str = setting("CATLOADER_OIDC_NAME", "single sign-on", "Accounts", "Name of the provider that pages show.")

    smtp_host: HostName = setting("CATLOADER_SMTP_HOST", "", "Mail", "Mail server that sends the site's mails: confirmations of addresses and links for a new password. Empty: the site sends no mail, and administrators hand out links. Needs `CATLOADER_PUBLIC_URL` and `CATLOADER_SMTP_SENDER`.")
    smtp_port: int = setting("CATLOADER_SMTP_PORT", 587, "Mail", "TCP port of the mail server; with `CATLOADER_SMTP_TLS=tls` usually 465.", ge=1, le=65535)
    smtp_tls: SmtpTls = setting("CATLOADER_SMTP_TLS", "starttls", "Mail", "`starttls`: the connection begins unencrypted, and nothing is sent before TLS has started. `tls`: the connection begins with TLS. `off`: no TLS, for a server on this machine.")
    smtp_user: str = setting("CATLOADER_SMTP_USER", "", "Mail", "User name for the mail server. Empty: no log-in.")
    smtp_password: SecretStr = setting("CATLOADER_SMTP_PASSWORD", _NO_SECRET, "Mail", "Password of that user.")
    smtp_sender: EmailAddress = setting("CATLOADER_SMTP_SENDER", "", "Mail", "Sender address of the mails, as in `cats@example.org`.")
    mail_link_minutes: float = setting("CATLOADER_MAIL_LINK_MINUTES", 10.0, "Mail", "Validity of a link in a mail, which is for one use.", ge=1.0, le=1440.0)
    mail_rate: AttemptRate = setting("CATLOADER_MAIL_RATE", "3 per 15 minutes; 10 per day", "Mail", "Limit of mails that may be requested for one address; `CATLOADER_REGISTER_RATE` limits the requests from one network. Mails about decisions are counted separately, and decisions beyond the limit wait for a common mail.")

    max_file_bytes: int = setting("CATLOADER_MAX_FILE_BYTES", 25 * 2**20, "Uploads", "Largest file accepted.", ge=1)
    max_files: int = setting("CATLOADER_MAX_FILES", 100, "Uploads", "Maximum number of files in one request. A request may write this number times `CATLOADER_MAX_FILE_BYTES` to the temporary folder.", ge=1)
    partial_uploads_bytes: int = setting("CATLOADER_PARTIAL_UPLOADS_BYTES", 2 * 2**30, "Uploads", "Space in the data folder for incomplete uploads, counted by the sizes of the complete files, at least 64 KiB each. Uploads without progress for a minute make room for new ones, those with the fewest received bytes first; if there are none, new uploads get 503 and `Retry-After`.", ge=0)
    partial_uploads_user_bytes: int = setting("CATLOADER_PARTIAL_UPLOADS_USER_BYTES", 250 * 2**20, "Uploads", "The same for one account; one file always fits. Uploads without progress for a minute make room for new ones.", ge=0)
    partial_uploads_hours: float = setting("CATLOADER_PARTIAL_UPLOADS_HOURS", 12.0, "Uploads", "An interrupted upload can be resumed for this long after its last byte.", ge=0.01, le=24.0)
    max_pixels: int = setting("CATLOADER_MAX_PIXELS", 64_000_000, "Uploads", "Maximum number of pixels of a photo, read from the file's header before decoding. Decoding takes 3 to 12 bytes a pixel, up to 19 for WebP.", ge=1)
    max_edge_px: int = setting("CATLOADER_MAX_EDGE_PX", DEFAULT_SIZES.max_edge_px, "Uploads", "Longest edge of the stored photo; larger photos are scaled down.", ge=64)
    thumbnail_px: int = setting("CATLOADER_THUMBNAIL_PX", DEFAULT_SIZES.thumbnail_px, "Uploads", "Side of the square thumbnail.", ge=32, le=2048)
    jpeg_quality: int = setting("CATLOADER_JPEG_QUALITY", DEFAULT_SIZES.jpeg_quality, "Uploads", "JPEG quality of the stored photo and thumbnail.", ge=40, le=98)
    decode_slots: int = setting("CATLOADER_DECODE_SLOTS", 2, "Uploads", "Number of child processes with which one web process decodes uploads. Memory: at most `CATLOADER_DECODE_MEMORY_BYTES` for each; a photo takes 3 to 12 bytes a pixel, WebP up to 19. At most half of them, but at least one, decode photos of more than 12.5 megapixels at the same time.", ge=1, le=64)
    decode_queue: int = setting("CATLOADER_DECODE_QUEUE", 4, "Uploads", "Number of uploads of one web process that may wait for such a child process, with at most half of all places for one user; others get 503 and `Retry-After`. The number is reduced if it would leave no request thread for pages. Memory: at most `CATLOADER_MAX_FILE_BYTES` for each waiting upload and each child process.", ge=0, le=256)
    decode_cpu_s: float = setting("CATLOADER_DECODE_CPU_S", DEFAULT_LIMITS.cpu_s, "Uploads", "Limit of processor time for one photo, in its upload and in each check; a photo that takes longer is refused, or becomes `unreadable`.", ge=0.1, le=600)
    decode_wall_s: float = setting("CATLOADER_DECODE_WALL_S", DEFAULT_LIMITS.wall_s, "Uploads", "Limit of elapsed time for one photo, in its upload and in each check; it allows for a busy machine.", ge=0.1, le=600)
    decode_memory_bytes: int = setting("CATLOADER_DECODE_MEMORY_BYTES", DEFAULT_LIMITS.memory_bytes, "Uploads", "Limit of memory for one photo, in its upload and in each check; the largest photos need about 19 times `CATLOADER_MAX_PIXELS`.", ge=2**26)

    bin_days: float = setting("CATLOADER_BIN_DAYS", 30.0, "Storage", "Time for which a deleted photo can be restored from the bin; 0: it is deleted at once. Deleting an account deletes everything at once.", ge=0.0, le=3650.0)
    database_url: DatabaseAddress = setting("DATABASE_URL", _NO_SECRET, "Storage", "`postgresql://user:password@host/name` or `sqlite:///file`. Empty: SQLite in the data folder. In user name and password write `%` as `%25` and `?` as `%3F`; or leave the password out and set `PGPASSWORD`, which needs no encoding.")
    s3_endpoint_url: StoreAddress = setting("AWS_ENDPOINT_URL_S3", "", "Storage", "Address of an S3 server. Empty: the embedded SeaweedFS is started and used.")
    s3_access_key_id: BearerToken = setting("AWS_ACCESS_KEY_ID", _NO_SECRET, "Storage", "Access key of the S3 server; the embedded one creates its own.")
    s3_secret_access_key: SecretStr = setting("AWS_SECRET_ACCESS_KEY", _NO_SECRET, "Storage", "Secret of the access key.")
    s3_region: RegionName = setting("AWS_REGION", "us-east-1", "Storage", "Region of the S3 server.")
    s3_photos_bucket: BucketName = setting("CATLOADER_PHOTOS_BUCKET", "catloader-photos", "Storage", "Private bucket of the photos; created if missing. Two sites with separate databases need separate buckets.")
    s3_thumbnails_bucket: BucketName = setting("CATLOADER_THUMBNAILS_BUCKET", "catloader-thumbnails", "Storage", "Private bucket of the thumbnails; created if missing.")
    delivery: Delivery = setting("CATLOADER_DELIVERY", "app", "Storage", "`app`: the site reads photos from S3 and sends them. `url`: it redirects the browser to a signed, short-lived S3 URL, so the browser must reach the S3 server, and altered objects are not noticed.")
    url_ttl_s: int = setting("CATLOADER_URL_TTL_S", 300, "Storage", "Validity of a signed S3 URL.", ge=10, le=300)

    model: str = setting("CATCHECK_MODEL", "auto", "Checking", "A name from `catloader models ls`, or `auto`: the promoted model (`catloader models promote`), otherwise the best model whose weights are on disk.")
    fetch: OffOrOn = setting("CATCHECK_FETCH", "on", "Checking", "With `CATCHECK_MODEL=auto`, the site fetches the measured ResNet with npm at its start, in the background, if it is missing; the ResNet takes over once its self-test has passed. `off`: no fetch, for small machines and machines without internet access.")
    weights_dir: Folder = setting("CATCHECK_WEIGHTS_DIR", default_weights_dir, "Checking", "Folder of fetched weights. The default is in the checkout; installed from a wheel: `~/.local/share/catloader/weights`.", default_text="models/weights")
    device: Device = setting("CATCHECK_DEVICE", "auto", "Checking", "`auto` uses a GPU if there is one.")
    runtime: Runtime = setting("CATCHECK_RUNTIME", "auto", "Checking", "Library that runs the model; `auto`: the fastest one whose profile meets the rates below.")
    precision: Precision = setting("CATCHECK_PRECISION", "auto", "Checking", "Arithmetic of the model.")
    decoder: Decoder = setting("CATCHECK_DECODER", "cpu", "Checking", "Decoder of stored photos: `cpu`, or `nvjpeg` on a GPU (experimental; needs `pip install 'catloader[nvjpeg]'` and its own profile).")
    cuda_graphs: OffOrOn = setting("CATCHECK_CUDA_GRAPHS", "off", "Checking", "For a GPU: record forward passes when the model is loaded, and use them for the batch sizes where they are faster.")
    batching_window_ms: float = setting("CATCHECK_BATCHING_WINDOW_MS", 0.0, "Checking", "Experimental, for a GPU: time for which a forward pass waits for more photos; 0: none.", ge=0.0, le=1000.0)
    subject: str = setting("CATCHECK_SUBJECT", "house_cat", "Checking", "The subject looked for: `house_cat`, `feline`, `dog`, or a TOML file that lists ImageNet classes.")
    max_false_positive_rate: float = setting("CATCHECK_MAX_FALSE_POSITIVE_RATE", 0.01, "Checking", "Share of other photos that may be called cat; selects the measured threshold.", ge=0.0001, le=0.5)
    max_false_negative_rate: float = setting("CATCHECK_MAX_FALSE_NEGATIVE_RATE", 0.01, "Checking", "Share of cats that may be called not_cat; scores between the two thresholds are `unsure`.", ge=0.0001, le=0.5)
    workers: int = setting("CATCHECK_WORKERS", 0, "Checking", "Threads that fetch, decode and classify; 0: one for each core.", ge=0, le=256)
    batch_photos: int = setting("CATCHECK_BATCH_PHOTOS", 4, "Checking", "Photos in one micro-batch (each has three inputs: its two ends and the thumbnail). Larger batches are slower on CPUs.", ge=1, le=256)
    lease_s: float = setting("CATCHECK_LEASE_S", 30.0, "Checking", "Time for which a claimed photo is reserved for its checker, which renews the lease three times in this time. If a checker dies, others get its photos after this time, and up to 10 s later while they have a backlog.", ge=0.1, le=86_400.0)
    probe_port: int = setting("CATCHECK_PROBE_PORT", 0, "Checking", "TCP port at which `catloader worker` answers `/livez`, `/readyz` and `/metrics`, on the address of `CATLOADER_HOST`; 0: none.", ge=0, le=65535)
    max_attempts: int = setting("CATCHECK_MAX_ATTEMPTS", 5, "Checking", "Attempts before a photo is `failed`.", ge=1, le=100)
    backoff_s: float = setting("CATCHECK_BACKOFF_S", 5.0, "Checking", "Wait before the second attempt; doubles each time, up to an hour.", ge=0.0, le=86_400.0)

    dispatch: Dispatch = setting("CATCHECK_DISPATCH", "thread", "Wake-ups", "How a check is started: `thread` (in this process), `internal` (a thread POSTs to the site's own endpoint), `external` (a thread POSTs to `CATCHECKER_URL`), `celery` (a Celery task on the broker of `CATCHECK_BROKER_URL` wakes every `catloader worker`), `off` (only `catloader worker` and `catloader check run` check). With PostgreSQL, every value also wakes the workers of other machines.")
    checker_url: HttpAddress = setting("CATCHECKER_URL", "", "Wake-ups", "Address of the stand-alone Cat Checker, as in `http://127.0.0.1:8001`.")
    checker_port: int = setting("CATCHECKER_PORT", 8001, "Wake-ups", "TCP port of `catloader checker serve`, on the address of `CATLOADER_HOST`.", ge=1, le=65535)
    broker_url: BrokerAddress = setting("CATCHECK_BROKER_URL", _NO_SECRET, "Wake-ups", "Broker of `CATCHECK_DISPATCH=celery`: `redis://:password@host:6379/0` (also Valkey; `rediss` with TLS) or `amqp://user:password@host//` (RabbitMQ; `amqps` with TLS). Needs `pip install 'catloader[celery]'`.")
    get_wake_ups: OffOrOn = setting("CATCHECK_GET_WAKE_UPS", "off", "Wake-ups", "`on`: anyone who opens `/checkcatimages` or `/checkcatimages-api` wakes the checker, as in the first version of this site. Needed only for programs that can only send GET.")
    webhook_secret: WebhookSecret = setting("CATCHECK_WEBHOOK_SECRET", _NO_SECRET, "Wake-ups", "Secret shared by site and checker, `whsec_` + base64. Empty: created at the first start and stored in the data folder.")
    sweep_s: float = setting("CATCHECK_SWEEP_S", 15.0, "Wake-ups", "Interval at which the checker looks for photos whose wake-up was lost, and at which due deletions are carried out.", ge=0.05, le=86_400.0)

    webhook_url: WebhookAddress = setting("CATLOADER_WEBHOOK_URL", _NO_SECRET, "Webhooks", "Address to which each verdict is sent (docs/operations.md). Empty: none.")
    webhook_signing_secret: WebhookSecrets = setting("CATLOADER_WEBHOOK_SECRET", _NO_SECRET, "Webhooks", "Secret that signs webhooks, `whsec_` + base64; the receiver needs it. Two secrets, separated by a space, both sign; so the second can be replaced by the first without a gap. Empty: created at the first start and stored in the data folder.")
    webhook_private: OffOrOn = setting("CATLOADER_WEBHOOK_PRIVATE", "off", "Webhooks", "`on`: the address may belong to this machine or to a private network.")
    # fmt: on

    @property
    def database(self) -> str | Path:
        """Return the database's URL with its driver, or the path of the SQLite file in the data folder."""
        return self.database_url.get_secret_value() or self.data_dir.resolve() / "catloader.sqlite3"

    @property
    def max_uploads_at_once(self) -> int:
        return self.uploads_at_once or max(2, available_cores())

    @property
    def checking_threads(self) -> int:
        return self.workers or available_cores()

    @property
    def embedded_s3(self) -> bool:
        return not self.s3_endpoint_url

    @property
    def checks_here(self) -> bool:
        """True if the site's own processes check photos."""
        return self.dispatch in ("thread", "internal")

    def with_changes(self, **changes: Any) -> Settings:
        """Return a copy with other values, which are checked too."""
        return Settings(**{**dict(self), **changes})

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, **overrides: Any) -> Settings:
        """Read, convert and check; ``overrides`` (by field name) win over the environment.

        An empty variable counts as absent. An unknown variable of CatLoader causes a warning in the log.

        Raises:
            SettingError: with the name of the variable, its value (unless it is a secret) and the accepted values.
        """
        from catloader.settings.environment import read  # it imports this table

        return read(environ, overrides)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Ignore pydantic's own sources: ``from_environment`` reads the environment."""
        return (init_settings,)

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        check_together(self)
        return self
