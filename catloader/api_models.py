"""The response bodies of the API: written by the site, read by the client, described by OpenAPI."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class Problem(BaseModel):
    """Problem details (RFC 9457)."""

    type: str = Field(description="Always `about:blank`: the HTTP status says what kind of problem it is.")
    title: str = Field(description="The name of the HTTP status.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="One plain sentence.")


class Photo(BaseModel):
    """A photo of the account."""

    id: int
    status: Literal["pending", "checking", "cat", "unsure", "not_cat", "unreadable", "failed"] = Field(
        description="`pending` and `checking` mean that the check is not finished."
    )
    caption: str
    created_at: datetime
    checked_at: datetime | None
    score: float | None = Field(description="0 to 1; the thresholds are in the verdict.")
    calibrated: bool = Field(description="The thresholds were measured for the model that decided.")
    human_verdict: Literal["cat", "not_cat"] | None = Field(description="The decision of a reviewer.")
    public: bool
    width_px: int = Field(description="Width of the stored photo.")
    height_px: int
    size_bytes: int
    sha256: str = Field(description="SHA-256 of the stored photo, which is re-encoded without metadata.")
    photo_url: str = Field(description="Path of the JPEG.")
    thumbnail_url: str


class PhotoPage(BaseModel):
    """Photos of the account, newest first."""

    photos: list[Photo]
    next: str | None = Field(description="Cursor of the next page; null after the last photo.")


class Label(BaseModel):
    """A class that the model recognised, with its confidence."""

    name: str
    confidence: float


class Labels(BaseModel):
    """The most likely classes, best first."""

    photo: list[Label]
    thumbnail: list[Label]


class Model(BaseModel):
    """The model that decided."""

    name: str | None
    weights_sha256: str | None
    runtime: str | None
    precision: str | None


class Appeal(BaseModel):
    """A request for a reviewer's decision."""

    wish: Literal["cat", "not_cat"]
    reason: str
    opened_at: datetime
    closed_at: datetime | None


class Verdict(BaseModel):
    """The verdict of a photo's last check, and the decisions of people about it."""

    status: str
    subject: str | None
    score: float | None
    cat_at: float | None = Field(description="At this score and above, the photo shows the subject.")
    not_cat_below: float | None = Field(
        description="Below this score it does not. Between the two thresholds the verdict is `unsure`."
    )
    calibrated: bool
    reason: str | None = Field(
        description="Why the verdict is `unsure`, if the score alone does not explain it."
    )
    wild_feline: bool
    turned_deg: int | None = Field(
        default=None,
        description="Degrees clockwise by which the stored photo was rotated to be judged, since it seemed "
        "turned: 0, 90, 180 or 270. Null without a decision, if an earlier version decided, or if the photo "
        "was rotated or replaced since.",
    )
    labels: Labels | None
    model: Model | None
    checked_at: datetime | None
    ms: dict[str, float] | None = Field(description="Milliseconds of each stage.")
    error: str | None = Field(description="Error of the last check, if it failed.")
    human_verdict: Literal["cat", "not_cat"] | None
    appeal: Appeal | None = Field(description="The latest appeal.")


class Check(BaseModel):
    """The verdict on a photo that is checked without being stored."""

    verdict: Literal["cat", "unsure", "not_cat"]
    subject: str
    score: float
    cat_at: float
    not_cat_below: float
    calibrated: bool
    reason: str | None
    wild_feline: bool
    turned_deg: int | None = Field(
        default=None,
        description="Degrees clockwise by which the photo was rotated to be judged, since it seemed turned, "
        "in addition to the rotation that its EXIF data state: 0, 90, 180 or 270. Null from a site of an "
        "earlier version, which judges photos as they lie.",
    )
    labels: Labels
    model: Model
    ms: dict[str, float] = Field(description="Milliseconds: prepare, decode, classify, total.")
