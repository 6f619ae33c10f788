"""The parameters and bodies of the API's requests, as the OpenAPI document describes them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from catloader.store.db.photos.gallery import Shown
from catloader.texts import MAX_TEXT_CHARS

MAX_KEY_CHARS = 255
MAX_PAGE = 100


class PageQuery(BaseModel):
    """Parameters of a list of photos."""

    limit: int = Field(default=50, ge=1, le=MAX_PAGE)
    cursor: str = Field(
        default="",
        max_length=40,
        pattern=r"^([0-9]{1,17}-[0-9]{1,19})?$",
        description="The `next` of the previous page.",
    )
    show: Shown = Shown.ALL


class UploadQuery(BaseModel):
    """Parameters of an upload whose body is the photo."""

    caption: str = Field(default="", max_length=MAX_TEXT_CHARS)


class UploadHeaders(BaseModel):
    """Headers of an upload."""

    model_config = ConfigDict(populate_by_name=True)

    idempotency_key: str = Field(
        default="",
        alias="Idempotency-Key",
        max_length=MAX_KEY_CHARS,
        description="Any text, different for each file. If a request is repeated with the same key and file "
        "within a day, it gets the same response and makes no second photo.",
    )


class NewAppeal(BaseModel):
    """The verdict that the owner asks for, and why."""

    model_config = ConfigDict(extra="forbid")

    wish: Literal["cat", "not_cat"]
    reason: str = Field(default="", max_length=MAX_TEXT_CHARS)
