"""The journey with real pages, PDFs and speech, held against their reference texts."""

import csv
from pathlib import Path

import pytest

from alta_common.testing.texts import cer, order_free_cer, wer
from alta_stack.client import AltaClient, Kind

pytestmark = pytest.mark.journey

# Highest error that each input may come back with. Reference texts of the last two cover one page of several.
DOCUMENTS = {
    "img/tess_phototest.tif": 0.01,
    "img/tess_phototest-rotated-180.png": 0.01,
    "img/tess_phototest-rotated-R.png": 0.01,
    "img/tess_eurotext.tif": 0.02,
    "img/unst_DA-1p.jpg": 0.02,
    "pdf/unst_DA-1p.pdf": 0.02,
    "pdf/pypdf_crazyones.pdf": 0.02,
    "pdf/gcs_invoice.pdf": 0.02,
}
RECORDINGS_MAX_WER = 0.05


def truths(folder: Path) -> dict[str, str]:
    """Return the reference text of each input that has one."""
    with (folder / "manifest.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {row["file"]: (folder / row["truth"]).read_text() for row in rows if row["truth"]}


async def test_real_pages_are_read_as_well_as_the_engine_can(client: AltaClient, shared_data: Path) -> None:
    reference = truths(shared_data)
    project = await client.create_project("Real pages")

    uploaded = {name: await client.upload(project["id"], shared_data / name) for name in DOCUMENTS}
    texts = {name: await client.result_text(await client.wait_for(item)) for name, item in uploaded.items()}

    errors = {name: order_free_cer(reference[name], text) for name, text in texts.items()}
    for name, error in errors.items():
        print(f"{name:40} order-free CER {error:6.2%}   CER {cer(reference[name], texts[name]):6.2%}")
    assert {name: error for name, error in errors.items() if error > DOCUMENTS[name]} == {}


async def test_real_speech_is_transcribed_as_well_as_the_engine_can(client: AltaClient, shared_data: Path) -> None:
    reference = {name: text for name, text in truths(shared_data).items() if name.startswith("audio/")}
    project = await client.create_project("Real speech")

    uploaded = {name: await client.upload(project["id"], shared_data / name, Kind.VOICE_SAMPLE) for name in reference}
    texts = {name: await client.result_text(await client.wait_for(item)) for name, item in uploaded.items()}

    for name, text in texts.items():
        print(f"{name:40} WER {wer(reference[name], text):6.2%}")
    whole = wer(" ".join(reference.values()), " ".join(texts[name] for name in reference))
    print(f"{'all recordings':40} WER {whole:6.2%}")
    assert whole <= RECORDINGS_MAX_WER


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("pdf/pypdf_r6-user-password.pdf", Kind.DOCUMENT, "password_protected"),
        ("bad/pillow_broken.png", Kind.DOCUMENT, "corrupt_file"),
        ("bad/ps_null.wav", Kind.VOICE_SAMPLE, "no_audio"),
    ],
)
async def test_a_file_that_cannot_be_read_says_why(
    client: AltaClient, shared_data: Path, name: str, kind: Kind, code: str
) -> None:
    project = await client.create_project("Damaged")

    item = await client.wait_for(await client.upload(project["id"], shared_data / name, kind))

    assert item.status == "failed"
    assert item.data["error"]["code"] == code
    assert item.data["error"]["detail"].endswith(".")
