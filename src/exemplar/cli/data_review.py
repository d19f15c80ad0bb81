"""`exemplar data review`: a page of lifted samples, to accept or reject by hand."""

from rich.console import Console

from exemplar.cli.options.data_review import ReviewCommand
from exemplar.evaluation.ledger_review import LedgerReview
from exemplar.lift.store import Ledger
from exemplar.viewer.local_pages import open_page
from exemplar.viewer.review import serve


def run(command: ReviewCommand) -> None:
    """Look at the fits of a lifting job, worst first, and accept or reject them by hand."""
    if command.images is not None and not command.images.is_dir():
        raise FileNotFoundError(f"no folder of images at {command.images}")
    console = Console(soft_wrap=True, highlight=False)
    with Ledger.open(command.folder) as ledger:
        review = LedgerReview(ledger, images=command.images, body=command.body)
        fitted = sum(review.counts()["status"].values())
        console.print(f"{command.folder}: {fitted} fitted, {_decided(review)}", markup=False)

        def opened(address: str) -> None:
            line = f"review at {address} (Ctrl-C ends; decisions are saved at once)"
            open_page(console, line, address, browser=command.browser)

        title = command.folder.resolve().name
        serve(review, title=title, port=command.port, opened=opened)
        console.print(f"\n{command.folder}: {_decided(review)}", markup=False)


def _decided(review: LedgerReview) -> str:
    counts = review.counts()["decision"]
    names = {"accepted": "accepted", "rejected": "rejected", "": "undecided"}
    return ", ".join(f"{counts.get(key, 0)} {name}" for key, name in names.items())
