import numpy as np
import pytest

from eval.bench.filtered.departments import Organisation, organise
from eval.bench.filtered.real import Passages, Text, cut
from eval.bench.filtered.world import Rights
from eval.bench.search_load import NumberedEmbedder
from indexes.vocabulary import Chunk, Document

DIM = 32


@pytest.fixture(scope="module")
def world() -> Organisation:
    """Twenty topics of two hundred chunks, in documents of ten or five in turn; half of the topics have a folder."""
    random = np.random.default_rng(3)
    topics = random.standard_normal((20, DIM)) * 2
    of_topic = np.repeat(np.arange(20), 200)
    rows = (topics[of_topic] + random.standard_normal((4000, DIM)) * 0.5).astype(np.float32)
    queries = (topics[np.arange(400) % 20] + random.standard_normal((400, DIM)) * 0.5).astype(np.float32)
    chunks = tuple(Chunk(f"document-{row // 10}-{row % 20 // 15}", row % 10, 0, 1, "a") for row in range(4000))
    folders = tuple(f"folder-{topic}" if topic < 10 else "" for topic in of_topic.tolist())
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (rows, queries)]
    return organise(Passages(chunks, ("a",) * 4000, folders), *unit)


def test_a_team_lies_in_one_department_and_holds_about_a_thousandth(world: Organisation) -> None:
    sizes = np.bincount(world.by_topic)
    assert sizes.max() <= 6
    assert sizes.min() >= 1
    assert 700 < len(sizes) < 2100
    assert len(world.department_of) == len(sizes)
    for folder in range(10):
        teams = np.unique(world.by_topic[folder * 200 : folder * 200 + 200])
        assert len(np.unique(world.department_of[teams])) == 1
    assert len(np.unique(world.department_of)) == 12, "ten folders, and 2,000 rows without one in two groups"


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("rights", list(Rights))
def test_people_read_their_share_and_ask_as_their_rights_say(world: Organisation, rights: Rights, share: float) -> None:
    for person in world.asked(rights, share, people=3, each=10):
        mask = person.access.mask(world.by_topic)
        assert share <= mask.mean() <= share + 0.003
        assert len(person.queries) == 10
        nearest = mask[np.argmax(person.queries @ world.rows.T, axis=1)].mean()
        if rights is Rights.POSITIVE and share >= 0.1:
            assert nearest == 1.0, "everyone asks about what he reads"
        if rights is Rights.NEGATIVE and share <= 0.3:
            assert nearest == 0.0, "everyone asks about what he does not read"


def test_a_filter_passes_some_rows_of_every_department(world: Organisation) -> None:
    (person,) = world.asked(Rights.POSITIVE, 0.1, people=1, each=5, filtered=True)
    assert person.where is world.where
    of_row = world.department_of[world.by_topic]
    shares = [world.where[of_row == department].mean() for department in np.unique(of_row)]
    assert shares == [0.5] * 12, "documents of ten rows are longer than the median, those of five are not"


def test_a_chunk_that_stands_in_two_documents_is_taken_once() -> None:
    texts = [Text("d", Document(name, name, "", f"# A\n\n{body}\n", "md")) for name, body in (("a", "x y"), ("b", "x y"), ("c", "z"))]  # fmt: skip
    passages = cut(texts, NumberedEmbedder())  # type: ignore[arg-type]
    assert [piece.document_id for piece in passages.chunks] == ["a", "c"]
