"""``/api/v1/photos/ID/verdict`` and ``/appeal``."""

from __future__ import annotations

import logging
from typing import cast

from flask import Blueprint, make_response
from werkzeug.wrappers import Response

from catloader.accounts.api_tokens import Scope
from catloader.api_models import Appeal, Label, Labels, Model, Verdict
from catloader.errors import NotPossibleNow
from catloader.errors.stores import check_error_for_owners
from catloader.store.db.checks.check_log import CheckRecord
from catloader.store.db.engine import utcnow
from catloader.store.db.staff import reviews as rows
from catloader.store.db.staff.decisions import HumanVerdict
from catloader.texts import clean_text
from catloader.web.accounts.sessions import current_user
from catloader.web.api_v1.requests import NewAppeal
from catloader.web.api_v1.spec import PHOTOS, api, responses
from catloader.web.http.bearer import needs
from catloader.web.http.context import own_photo, services
from catloader.web.photos.appeals import refusal_of_appeal

logger = logging.getLogger(__name__)
blueprint = Blueprint("api_verdicts", __name__, url_prefix="/api/v1/photos/<int:id>")


@blueprint.get("/verdict")
@needs(Scope.READ)
@api.validate(
    resp=responses(200, Verdict, errors=(404,), others=(304,)),
    tags=[PHOTOS],
    operation_id="api_verdicts.verdict",
)
def verdict(id: int) -> Verdict:
    """Return the verdict of a photo, and how it was reached."""
    photo = own_photo(id)
    record = services().check_log.latest(id)
    is_of_present_file = record is not None and record.photo_sha256 == photo.sha256
    appeals = services().reviews.appeals_of(id)
    return Verdict(
        status=photo.status,
        subject=record.subject if record else None,
        score=photo.score,
        cat_at=record.cat_at if record else None,
        not_cat_below=record.not_cat_below if record else None,
        calibrated=photo.calibrated,
        reason=record.reason if record else None,
        wild_feline=photo.wild_feline,
        turned_deg=record.turned_deg if record and is_of_present_file else None,
        labels=_labels(record),
        model=_model(record),
        checked_at=photo.checked_at,
        ms=dict(record.ms) if record and record.ms else None,
        error=photo.check_error and check_error_for_owners(photo.check_error),
        human_verdict=cast(HumanVerdict | None, photo.human_verdict),
        appeal=_appeal(appeals[-1]) if appeals else None,
    )


@blueprint.post("/appeal")
@needs(Scope.WRITE)
@api.validate(
    resp=responses(201, Appeal, errors=(404, 409, 413, 415, 507)),
    tags=[PHOTOS],
    operation_id="api_verdicts.appeal",
)
def appeal(id: int, json: NewAppeal) -> Response:
    """Ask a reviewer to change the verdict."""
    own_photo(id)
    reason, now = clean_text(json.reason, "reason"), utcnow()
    if not services().reviews.appeal(id, current_user().id, json.wish, reason, now):
        raise NotPossibleNow(refusal_of_appeal(id, json.wish))
    logger.info("user %d asked for a review of photo %d", current_user().id, id)
    # Not read again: the photo may have been deleted meanwhile, together with the appeal.
    opened = Appeal(wish=json.wish, reason=reason, opened_at=now, closed_at=None)
    return make_response(opened.model_dump(mode="json"), 201)


@blueprint.delete("/appeal")
@needs(Scope.WRITE)
@api.validate(resp=responses(204, errors=(404, 409)), tags=[PHOTOS], operation_id="api_verdicts.withdraw")
def withdraw(id: int) -> Response:
    """Withdraw the open appeal."""
    own_photo(id)
    if not services().reviews.withdraw(id, current_user().id, utcnow()):
        raise NotPossibleNow("This photo has no open appeal.")
    return make_response("", 204)


def _appeal(appeal: rows.Appeal) -> Appeal:
    return Appeal(
        wish=appeal.wish, reason=appeal.reason, opened_at=appeal.opened_at, closed_at=appeal.closed_at
    )


def _labels(record: CheckRecord | None) -> Labels | None:
    if record is None or record.labels is None:
        return None
    return Labels(
        **{
            rendition: [Label(name=name, confidence=confidence) for _, name, confidence in labels]
            for rendition, labels in record.labels.items()
        }
    )


def _model(record: CheckRecord | None) -> Model | None:
    if record is None or record.model is None:
        return None
    return Model(
        name=record.model,
        weights_sha256=record.weights_sha256,
        runtime=record.runtime,
        precision=record.precision,
    )
