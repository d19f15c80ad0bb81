"""A lifting job as the review page sees it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.files.image_store_files import open_images
from exemplar.lift.store import Ledger
from exemplar.render.review_picture import review_picture
from exemplar.viewer.local_pages import NamedBodies, jpeg
from exemplar.viewer.review import Decision, ReviewRow, Sort


class LedgerReview:
    """A ledger as the review page sees it."""

    def __init__(self, ledger: Ledger, *, images: Path | None = None, body: str | None = None):
        """`images` and `body` stand for what the ledger names. ValueError for a body that cannot
        be read, or a job that has no samples yet."""
        if not ledger.filled():
            raise ValueError(f"{ledger.folder}: no samples are recorded yet: run exemplar lift")
        self._ledger, self._images = ledger, open_images(images or ledger.images)
        self._body = NamedBodies(body)

    def rows(
        self, *, status: str | None, decision: Decision | None, sort: Sort, offset: int, limit: int
    ) -> Sequence[ReviewRow]:
        """Results, as `Ledger.review_rows` lists them."""
        found = self._ledger.review_rows(
            status=status or "", decision=decision, sort=sort, offset=offset, limit=limit
        )
        return [_row(id, truth) for id, truth in found]

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        """How many results have each status, and each decision."""
        return self._ledger.counts()

    def decide(self, id: int, decision: Decision) -> None:
        """Save a decision in the ledger."""
        self._ledger.decide(id, decision)

    def picture(self, id: int, size: int) -> bytes:
        """A JPEG of a result; an image that cannot be read is grey."""
        truth = self._ledger.truth(id)
        try:
            image = self._images.read(truth.sample.image)
        except (OSError, ValueError):
            image = None
        body = self._body(truth.body_model)
        reason = f"{truth.status.replace('_', ' ')}: {truth.message}".removesuffix(": ")
        drawn = review_picture(truth.sample, image, body, size, reason=reason)
        return jpeg(drawn)


def _row(id: int, truth: PseudoTruth) -> ReviewRow:
    sample = truth.sample
    return ReviewRow(
        id=id,
        image=sample.image,
        status=truth.status,
        message=truth.message,
        decision=truth.decision,
        error_before=truth.error_px_before,
        error_after=truth.error_px_after,
        loss=truth.loss_2d,
        iterations=truth.iterations,
        kept_iteration=truth.kept_iteration,
        annotation_id=sample.annotation_id,
        subject=sample.subject,
    )
