"""``/api/v1/check``: check a photo without storing it."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint

from catloader.accounts.api_tokens import Scope
from catloader.api_models import Check, Label, Labels, Model
from catloader.checks.on_demand import judge
from catloader.web.accounts.sessions import current_user
from catloader.web.api_v1.bodies import sent_photo, takes_photo
from catloader.web.api_v1.spec import CHECKS, api, responses
from catloader.web.http.bearer import needs
from catloader.web.http.context import services
from catloader.web.uploads.admission import uses_object_store
from checker.decision.operating_point import UNCALIBRATED

blueprint = Blueprint("api_checks", __name__, url_prefix="/api/v1")


@blueprint.post("/check")
@takes_photo
@needs(Scope.CHECK)
@uses_object_store
@api.validate(
    resp=responses(200, Check, errors=(413, 415, 422, 501, 507)),
    tags=[CHECKS],
    operation_id="api_checks.check",
)
def check() -> Check:
    """Check a photo like an upload, return the verdict and store nothing."""
    _, data = sent_photo()
    app = services()
    judged = judge(data, current_user().id, prepare=app.decoders.prepare, checker=app.checker)
    decision, info = judged.decision, judged.model_info
    return Check(
        verdict=cast(Any, decision.verdict.value),  # never `unreadable`: such photos are refused
        subject=decision.subject,
        score=decision.score,
        cat_at=decision.cat_at,
        not_cat_below=decision.not_cat_below,
        calibrated=decision.profile_id != UNCALIBRATED,
        reason=decision.reason,
        wild_feline=decision.wild_feline,
        turned_deg=decision.turned_deg,
        labels=Labels(
            **{
                rendition: [Label(name=label.name, confidence=label.confidence) for label in labels]
                for rendition, labels in decision.labels.items()
            }
        ),
        model=Model(
            name=info.model,
            weights_sha256=info.weights_sha256,
            runtime=info.runtime,
            precision=info.precision,
        ),
        ms=dict(judged.ms),
    )
