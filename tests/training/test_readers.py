"""Every format of conversations, on lines made up here; bad lines are named."""

import json
from pathlib import Path

import pytest

from catalog.items import Catalog
from training.readers import Example, RowsError, Titles, examples

ROOT = Path(__file__).parents[2]
MOVIES = ROOT / "catalog" / "data" / "movies"
SAMPLE = ROOT.parent / "shared" / "data" / "reddit_v2_sample" / "reddit_v2_sft_100.jsonl"
SAID = [{"role": "user", "text": "Something tense."}, {"role": "agent", "text": "How old?"}]


def lines(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def reddit_row(conversation: str) -> dict[str, object]:
    return {
        "sample_id": "train_1",
        "prompt": [{"role": "user", "content": f"Reply. Here is the conversation: {conversation}"}],
        "completion": [{"role": "assistant", "content": "Heat (1995)\n\nRonin (1998)"}],
        "seen_titles": ["Collateral"],
        "groundtruth_with_release_year": [["Heat", "1995"]],
    }


def test_reddit_rows_are_cut_into_turns(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "r.jsonl", reddit_row("USER: I saw Collateral.\nSYSTEM: And?\nUSER: More")
    )
    (found,) = examples("reddit", path)
    assert found.turns == (("user", "I saw Collateral."), ("agent", "And?"), ("user", "More"))
    assert found.targets == ("Heat (1995)",)
    assert found.seen == ("Collateral",)
    assert found.slate == ("Heat (1995)", "Ronin (1998)")


def test_the_released_sample_is_read_whole() -> None:
    if not SAMPLE.is_file():
        pytest.skip("the Reddit-v2 sample is not in ../shared")
    found = list(examples("reddit", SAMPLE))
    assert len(found) == 100
    assert all(one.targets and one.turns[0][0] == "user" for one in found)
    assert sum(len(one.turns) > 1 for one in found) == 15


def test_inspired_joins_lines_of_one_speaker_and_keeps_what_was_refused(tmp_path: Path) -> None:
    head = "dialog_id\tspeaker\ttext\tmovies\tcase"
    rows = [
        "d1\tRECOMMENDER\tHello.\t\treject",
        "d1\tSEEKER\tHi.\t\treject",
        "d1\tSEEKER\tI liked QUOTATION_MARKHeatQUOTATION_MARK.\tHeat (1995)\treject",
        "d1\tRECOMMENDER\tThen see these.\tRonin (1998); Heat (1995)\treject",
    ]
    path = tmp_path / "dev.tsv"
    path.write_text("\n".join([head, *rows]) + "\n")
    (found,) = examples("inspired", path)
    assert found.turns == (("agent", "Hello."), ("user", 'Hi. I liked "Heat".'))
    assert (found.targets, found.seen, found.refused) == (
        ("Ronin (1998)",),
        ("Heat (1995)",),
        ("Ronin (1998)",),
    )


def test_feedback_of_one_turn_is_one_example(tmp_path: Path) -> None:
    act = {"thread": "t", "turn": 3, "context": SAID, "slate": ["a", "b", "c"]}
    path = lines(
        tmp_path / "f.jsonl",
        act | {"item_id": "b", "kind": "accept"},
        act | {"item_id": "a", "kind": "thumb_down"},
        act | {"item_id": "c", "kind": "seen"},
        {"thread": "t", "turn": 4, "item_id": "c", "kind": "reject"},
    )
    (found,) = examples("feedback", path)
    assert found == Example(
        "feedback:t:3",
        (("user", "Something tense."), ("agent", "How old?")),
        ("b",),
        ("c",),
        ("a",),
        ("a", "b", "c"),
    )


@pytest.mark.parametrize(
    ("kind", "row", "message"),
    [
        ("own", {"context": SAID}, "line 2 cannot be read.*targets"),
        ("own", {"context": SAID, "targets": []}, "no targets"),
        ("own", {"context": [{"role": "cat", "text": ""}], "targets": ["a"]}, "role"),
        ("feedback", {"thread": "t", "turn": 1, "item_id": "a", "kind": "like"}, "kind"),
        ("reddit", {"prompt": []}, "line 2 cannot be read"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, kind: str, row: object, message: str) -> None:
    good = {
        "own": {"context": SAID, "targets": ["a"]},
        "feedback": {"thread": "t", "turn": 1, "item_id": "a", "kind": "accept"},
        "reddit": reddit_row("USER: Hi"),
    }[kind]
    with pytest.raises(RowsError, match=message):
        list(examples(kind, lines(tmp_path / "x.jsonl", good, row)))


def test_other_files_and_formats_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match="is missing"):
        list(examples("own", tmp_path / "none.jsonl"))
    with pytest.raises(RowsError, match="choose redial"):
        examples("csv", tmp_path)
    (tmp_path / "x.tsv").write_text("a\tb\n")
    with pytest.raises(RowsError, match="no column dialog_id"):
        list(examples("inspired", tmp_path / "x.tsv"))


def test_titles_are_found_by_name_and_year() -> None:
    catalog = Catalog.open(MOVIES)
    find = Titles(catalog)
    row = find("Heat (1995)")
    assert row is not None
    assert catalog.df["title"][row] == "Heat"
    assert find("heat (1996)") == row  # two years either way
    assert find("Heat (2051)") is None
    assert find(str(catalog.df["id"][row])) == row
