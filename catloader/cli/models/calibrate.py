"""``catloader models calibrate``: measure one variant on labelled photos, and write its profile."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from catloader.cli.context import pass_settings
from catloader.errors import CatLoaderError
from catloader.settings import Settings
from checker.errors import ModelRefused
from checker.folder.option_types import NonEmptyPath
from checker.runtimes.names import DECODERS, DEVICES, PRECISIONS, RUNTIME_PRECISIONS

if TYPE_CHECKING:
    from checker.decision.profile import Profile

_EXTRA = {"scipy": "scipy", "sklearn": "scikit-learn"}
"""Packages of the extra ``calibrate``: the name to import, and the name to install."""
_Command = TypeVar("_Command", bound=Callable[..., Any])


def _choice(name: str, choices: Iterable[str], default: str) -> Callable[[_Command], _Command]:
    return click.option(name, type=click.Choice(list(choices)), default=default, show_default=True)


def _folder(name: str, **options: Any) -> Callable[[_Command], _Command]:
    return click.option(name, type=NonEmptyPath(file_okay=False), **options)


def _finite(_context: click.Context, _parameter: click.Parameter, number: float | None) -> float | None:
    if number is not None and not math.isfinite(number):  # NaN passes ``click.FloatRange``
        raise click.BadParameter(f"{number} is not a finite number.")
    return number


@click.command()
@click.argument("data", required=False)
@click.option("--model", metavar="NAME", default="auto", show_default=True, help="See `catloader models ls`.")
@_choice("--runtime", RUNTIME_PRECISIONS, "torch")
@_choice("--precision", PRECISIONS, "auto")
@_choice("--device", DEVICES, "cpu")
@_choice("--decoder", DECODERS, "cpu")
@click.option(
    "--threads", type=click.IntRange(min=1), default=1, show_default=True, help="torch threads on a CPU."
)
@click.option(
    "--cat-classes",
    metavar="NAME,...",
    default="",
    help="More folders or categories with house cats, in addition to `cat` and ImageNet's classes.",
)
@_folder("--weights-dir", help="Folder of fetched weights.  [default: CATCHECK_WEIGHTS_DIR]")
@click.option("--subject", default="house_cat", show_default=True, help="A built-in name or a .toml file.")
@click.option(
    "--from-run",
    "run",
    metavar="PLAN",
    help="Use the data that a run of `bulk plan --labelled` kept, instead of DATA and a model.",
)
@click.option(
    "--fp32-run",
    metavar="PLAN",
    help="With --from-run of an int8 plan: a plan of the same photos in torch fp32.",
)
@click.option("--fit-head", is_flag=True, help="Also fit a linear probe; needs photos like yours.")
@click.option(
    "--penalty",
    type=click.FloatRange(min=0, min_open=True),
    callback=_finite,
    help="L2 penalty of the probe of --fit-head.  [default: 150]",
)
@_folder("--out", help="Folder for the profile.  [default: `profiles` in the data folder]")
@click.option("--shipped", is_flag=True, help="Write to models/profiles instead.")
@pass_settings
def calibrate(
    settings: Settings,
    /,
    data: str | None,
    *,
    cat_classes: str,
    weights_dir: Path | None,
    subject: str,
    fit_head: bool,
    penalty: float | None,
    out: Path | None,
    shipped: bool,
    run: str | None,
    fp32_run: str | None,
    **names: Any,
) -> None:
    """Measure a model on labelled photos; write its profile.

    DATA is a folder with cat/ and other classes, a labels.csv or a folder with one, Oxford-IIIT Pet, COCO
    annotations, or the word `database` for the photos that people reviewed on this site. It needs at least 50
    photos of each label. For very many photos, plan and run them with `catloader bulk`, and name the plan
    with --from-run.
    """
    if bool(data) == bool(run):
        raise click.UsageError("Give either DATA or --from-run.")
    if run and (option := _first_of("model", "runtime", "precision", "device", "decoder", "cat_classes")):
        raise click.UsageError(f"--from-run takes variant and photos from the plan; leave out {option}.")
    for has_no_effect, rule in (
        (data and fp32_run, "--fp32-run needs --from-run."),
        (penalty and not fit_head, "--penalty needs --fit-head."),
        (out and shipped, "Give either --out or --shipped."),
    ):
        if has_no_effect:
            raise click.UsageError(rule)
    require_extra()
    from catloader.cli.models.labelled_photos import open_photos
    from checker.decision.operating_point import SHIPPED_PROFILES
    from checker.decision.profile import load_profile
    from checker.decision.subject import load_subject
    from checker.evaluation.calibrate import measure_and_calibrate, table, write_profile
    from checker.evaluation.photos import enough_of_both
    from checker.evaluation.variants import NamedVariant

    weights_dir = weights_dir or settings.weights_dir
    folder = SHIPPED_PROFILES if shipped else out or settings.data_dir / "profiles"
    if not data:
        from catloader.bulk.calibration import calibrated
        from catloader.bulk.plan import Plan
        from catloader.cli.bulk.run import folder_of

        plan, fp32 = (name and Plan(folder_of(settings, name)) for name in (run, fp32_run))
        assert plan, "either DATA or --from-run is given"
        profile, classifier = calibrated(
            plan,
            fp32 or None,
            weights_dir=weights_dir,
            subject=load_subject(subject),
            fit_head=fit_head,
            penalty=penalty,
            threads=names["threads"],
        )
    else:
        variant = NamedVariant(**names, weights_dir=weights_dir)
        variant.resolve()
        with open_photos(data, settings, cat_classes.split(",")) as photos:
            enough_of_both(photos)
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):  # fail now, not after the minutes that measuring takes
                pass
            profile, classifier = measure_and_calibrate(
                photos, variant, load_subject(subject), fit_head=fit_head, penalty=penalty
            )
    path = write_profile(profile, classifier, folder)
    profile = load_profile(path)  # with the self-test, which is part of the profile's id
    click.echo(table(profile))
    click.echo(f"written to {path}")
    warn_if_unusable(profile, settings)


def warn_if_unusable(profile: Profile, settings: Settings) -> None:
    """Print the reason if a site with these settings may not check with the profile's variant."""
    from checker.decision.operating_point import thresholds_for
    from checker.runtimes.selection.required_rates import require_rates

    try:
        thresholds_for(profile, settings.max_false_positive_rate, settings.max_false_negative_rate)
        require_rates(profile, settings.max_false_positive_rate)
    except ModelRefused as error:
        click.echo(
            f"{profile.key.runtime} {profile.key.precision} cannot use this profile: {error}. A site checks "
            "with another variant of the model if its profile meets these rates; otherwise photos wait. "
            "Deleting the file undoes this.",
            err=True,
        )


def _first_of(*names: str) -> str:
    """Return the first of these options that is on the command line, or an empty text."""
    context = click.get_current_context()
    present = (name for name in names if context.get_parameter_source(name) is ParameterSource.COMMANDLINE)
    return "".join(f"--{name.replace('_', '-')}" for name in list(present)[:1])


def require_extra() -> None:
    """Refuse to run without the packages of the extra ``calibrate``.

    Raises:
        CatLoaderError: packages are missing; the text has the command that installs them.
    """
    missing = [package for name, package in _EXTRA.items() if importlib.util.find_spec(name) is None]
    if missing:
        packages = "packages" if len(missing) > 1 else "package"
        names = " and ".join(missing)
        raise CatLoaderError(f"Calibration needs the {packages} {names}: pip install 'catloader[calibrate]'.")
