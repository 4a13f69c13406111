# ruff: noqa: E501  (a table is easier to read with its rows whole)
"""Guessing columns: known answers on very different invented tables, and properties."""

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog import cells
from catalog.build import prepare
from catalog.config import Config, to_yaml
from catalog.details import nouns_of
from catalog.errors import BuildError
from catalog.guess import guess_config
from catalog.headers import heading, plural, singular

WINES = """sep=;
Weingut;Wein;Jahrgang;Rebsorte;Anbaugebiet;Preis je Flasche (EUR);Alkohol in Vol%;Inhalt;Bestand
Gut Säusel;Riesling Alte Reben;2019;Riesling;Mosel;1.299,90;11,5;0,75 l;3
Hofgut Müller;Silvaner Ortswein;2021;Silvaner;Pfalz;7,90;12,5;750 ml;0
Gut Säusel;Riesling Kabinett;2020;Riesling;Mosel;9,-;12,0;1,5 l;40
Hofgut Müller;Silvaner Kabinett;2018;Silvaner;Pfalz;19,90;11,5;0,75 l;12
"""
GAMES = """,Game,Designer,Year,Players,Playing Time,Age,Complexity (1-5),Mechanics,Rating,Num Votes,Image URL
0,Castles of Nym,Ina Vell; Tom Wyck,1995,2-4,30-60 min,8+,2.31,"Drafting, Trading",6.1,3000,https://e.org/0.jpg
1,Otters of Tarn,Sol Arden,2015,1-5,45 min,10+,1.20,Trading,8.3,90000,https://e.org/1.jpg
2,Rails of Umber,Ina Vell; Tom Wyck,2004,3-6,1 h 30 min,12+,4.02,"Drafting, Auction",7.9,150,https://e.org/2.jpg
3,Merchants of Orla,Sol Arden,2022,2,20 min,8+,3.33,"Auction, Trading",5.5,20,https://e.org/3.jpg
"""
BOOTS = """sku,Boot name,brand,type,price,weight_g,sizes,waterproof,colour,rating,in_stock,description,photo
a1,Ridge Walker,Northpeak,hiking,$129.00,1240,"40,41,42",yes,brown/green,4.5,3,A firm boot for long days in the hills and for wet meadows.,https://e.org/1.png
a2,Valley Runner,Southpole,trail,$1,099.00,640,"38,39",no,blue,4.0,0,Light and airy for the summer months on dry paths.,https://e.org/2.png
a3,Snow King,Northpeak,winter,89,1500,"41,42",yes,black,4.9,12,Warm down to twenty below and dry in deep snow.,https://e.org/3.png
""".replace("$1,099.00", '"$1,099.00"')


def uses(text: str, name: str, tmp_path: Path) -> tuple[dict[str, str], Config, pl.DataFrame]:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    made = prepare(path)
    config_file = tmp_path / "config.yaml"
    config_file.write_text(made.written["config.yaml"], "utf-8")
    config = Config.read(config_file)
    return {name: column.use for name, column in config.columns.items()}, config, made.df


def test_wines_from_a_german_spreadsheet(tmp_path: Path) -> None:
    found, config, df = uses(WINES, "weine.csv", tmp_path)
    assert list(found.values()) == [
        "maker", "title", "date", "category", "origin", "price", "number", "number", "stock",
    ]  # fmt: skip
    assert (config.noun, config.nouns) == ("wine", "wines")
    labels = [column.label for column in config.columns.values()]
    assert labels[2:] == [
        "vintage", "grape", "region", "price", "alcohol", "volume", "stock",
    ]  # fmt: skip
    assert df["price"].to_list() == [1299.9, 7.9, 9.0, 19.9]
    assert df["volume"].to_list() == [0.75, 0.75, 1.5, 0.75]  # 750 ml in the column's litres
    assert df["alcohol"].to_list() == [11.5, 12.5, 12.0, 11.5]


def test_board_games_with_ranges(tmp_path: Path) -> None:
    found, config, df = uses(GAMES, "board-games.csv", tmp_path)
    assert found["column 1"] == "ignore"
    assert found["Game"] == "title" and found["Num Votes"] == "popularity"
    assert (config.noun, config.columns["Designer"].separator) == ("board game", ";")
    assert df["player"].to_list() == [["2", "3", "4"], ["1", "2", "3", "4", "5"], ["3", "4", "5", "6"], ["2"]]  # fmt: skip
    assert df["playing_time"].to_list() == [60, 45, 90, 20]
    assert df["age"].to_list() == [8, 10, 12, 8]
    assert df["mechanic"].to_list()[0] == ["Drafting", "Trading"]
    assert df["designer"].to_list()[0] == ["Ina Vell", "Tom Wyck"]
    assert float(df["popularity"].max()) == pytest.approx(1000)  # type: ignore[arg-type]


def test_a_shop_of_boots(tmp_path: Path) -> None:
    found, _, df = uses(BOOTS, "hiking_boots_2024.csv", tmp_path)
    assert list(found.values()) == [
        "id", "title", "maker", "category", "price", "number", "size", "yes/no", "tags", "rating",
        "stock", "text", "image",
    ]  # fmt: skip
    assert df["price"].to_list() == [129.0, 1099.0, 89.0]
    assert df["size"].to_list()[0] == ["40", "41", "42"]
    assert df["waterproof"].to_list() == [["waterproof"], ["not waterproof"], ["waterproof"]]
    made = prepare(tmp_path / "hiking_boots_2024.csv")
    facets = {facet.name: facet for facet in made.domain.facets}
    assert made.domain.noun_one == "hiking boot"
    assert facets["price"].unit == "$" and facets["weight"].unit == "g"
    assert facets["size"].synonyms["size 42"] == "42" and facets["size"].phrase == "in size {}"
    assert facets["weight"].less == ["lighter"]
    assert any("$" in opener for opener in made.domain.openers)
    assert "film" not in made.written["domain.yaml"].lower()


def test_the_printed_guess_is_the_file_that_corrects_it(tmp_path: Path) -> None:
    path = tmp_path / "boots.csv"
    path.write_text(BOOTS, "utf-8")
    first = prepare(path)
    (tmp_path / "fix.yaml").write_text(first.guess, "utf-8")
    again = prepare(path, tmp_path / "fix.yaml")
    assert again.domain == first.domain and again.df.equals(first.df)
    (tmp_path / "short.yaml").write_text("noun: shoe\ncolumns: {rating: ignore}\n", "utf-8")
    fixed = prepare(path, tmp_path / "short.yaml")
    assert (fixed.domain.noun_one, fixed.domain.noun_many) == ("shoe", "shoes")
    assert "rating" not in fixed.df.columns and "price" in fixed.df.columns


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("columns: {price: money}", "columns → price → use: use is 'money'; one of id, title"),
        ("columns: {prize: price}", "a column 'prize' that the table lacks"),
        ("nown: boot", "nown: Extra inputs are not permitted"),
        ("- a", "holds no settings"),
        ("a: [", "cannot be read as YAML"),
        ("columns: {Boot name: ignore, description: ignore, sku: ignore, price: ignore,"
         " weight_g: ignore, sizes: ignore, brand: ignore, type: ignore, waterproof: ignore,"
         " colour: ignore, rating: ignore, in_stock: ignore, photo: ignore}", "can be the title"),
    ],
)  # fmt: skip
def test_a_bad_config_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "boots.csv").write_text(BOOTS, "utf-8")
    (tmp_path / "bad.yaml").write_text(text, "utf-8")
    with pytest.raises(BuildError, match=said):
        prepare(tmp_path / "boots.csv", tmp_path / "bad.yaml")


def test_ids_are_made_and_stay_when_a_price_changes(tmp_path: Path) -> None:
    path = tmp_path / "lamps.csv"
    path.write_text("name,maker,price\nDusk,Ada,5\nDusk,Ada,6\nDusk,Bo,7\n", "utf-8")
    before = prepare(path).df["id"].to_list()
    path.write_text("name,maker,price\nDusk,Bo,70\nDusk,Ada,50\nDusk,Ada,60\n", "utf-8")
    after = prepare(path).df["id"].to_list()
    assert len(set(before)) == 3 and set(before) == set(after)
    assert before[2] == after[0]


def test_repeated_ids_missing_titles_and_strange_cells_are_listed(tmp_path: Path) -> None:
    text = "id,title,price\na,One,5 €\na,Two,6 €\nb,,7 €\nc,Three,ask us\nd,Four,inf\n,Five,9 €\n"
    (tmp_path / "x.csv").write_text(text, "utf-8")
    made = prepare(tmp_path / "x.csv")
    assert made.df["title"].to_list() == ["One", "Three", "Four", "Five"]
    assert made.df["price"].to_list() == [5, None, None, 9]
    assert [(r.line, r.column, r.reason) for r in made.rejected] == [
        (3, "", "repeats the id 'a' of line 2"),
        (4, "", "has no title"),
        (5, "price", "no number in € or alone; left empty"),
    ]


@pytest.mark.parametrize(
    ("text", "figures", "unit"),
    [
        ("1.299,00 €", "1.299,00", "€"),
        ("$1,299.00", "1,299.00", "$"),
        ("CHF 12.50", "12.50", "CHF"),
        ("ab 12,50 €", "12,50", "€"),
        ("12 kg", "12", "kg"),
        ("14%", "14", "%"),
        ('5"', "5", '"'),
        ("-3", "-3", ""),
        ("1 200", "1 200", ""),
    ],
)
def test_a_cell_as_a_number(text: str, figures: str, unit: str) -> None:
    found = cells.figure(text)
    assert found is not None and (found.figures, found.unit) == (figures, unit)


@pytest.mark.parametrize("text", ["abc", "12 abc", "A4", "10x20 mm", "1/2", "€€", ""])
def test_what_is_no_number(text: str) -> None:
    assert cells.figure(text) is None


@pytest.mark.parametrize(
    ("column", "usual", "mark"),
    [
        (["1.299", "12,50"], ".", ","),
        (["1,299.00"], ",", "."),
        (["1.299.000"], ".", ","),
        (["0.450", "1.299"], ",", "."),
        (["1.299", "2.499"], ",", ","),
        (["1.299", "2.499"], ".", "."),
        (["12"], ",", ","),
    ],
)
def test_the_decimal_mark_is_asked_of_the_column(column: list[str], usual: str, mark: str) -> None:
    assert cells.decimal_mark(column, usual) == mark


def test_dates_are_years() -> None:
    said = ["2021-05-03", "03.05.2021", "5/3/2021", "May 2020", "1999.0", "-750", "750 BC"]
    assert [cells.year(text) for text in said] == [2021, 2021, 2021, 2020, 1999, -750, -750]


def test_headings_and_nouns() -> None:
    assert heading("Preis (€)").label == "price"
    assert heading("publicationYear").uses[0][0] == "date"
    assert (heading("weight_g").unit_said, heading("weight_g").words) == ("g", "weight")
    assert heading("author_name").uses[0][0] == "maker"
    assert nouns_of("shop/boots-2024 (1).csv") == ("boot", "boots")
    assert nouns_of("export.csv") == ("item", "items")
    assert nouns_of("sqlite:///x.db?table=main.dishes") == ("dish", "dishes")
    assert [singular(plural(word)) for word in ("boot", "dish", "city", "box")] == [
        "boot", "dish", "city", "box",
    ]  # fmt: skip


VALUE = st.one_of(
    st.none(),
    st.text(max_size=8),
    st.sampled_from(
        ["1,5", "1.5", "12 €", "yes", "2020", "a;b", "[1", "n/a", "https://x.org", "2-4"]
    ),
    st.floats().map(str),
)


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.text(min_size=1, max_size=10), min_size=1, max_size=5, unique=True),
    data=st.data(),
)
def test_any_table_gets_a_config_that_reads_back(names: list[str], data: st.DataObject) -> None:
    """Whatever the cells: one title at most, every column has a use, and the YAML is valid."""
    height = data.draw(st.integers(1, 8))
    column = st.lists(VALUE, min_size=height, max_size=height)
    df = pl.DataFrame({n: pl.Series(data.draw(column), dtype=pl.String) for n in names})
    guess = guess_config(df, "things.csv")
    found = [column.use for column in guess.config.columns.values()]
    assert list(guess.config.columns) == names
    assert found.count("title") <= 1 and found.count("id") <= 1
    import yaml

    read = yaml.safe_load(to_yaml(guess.config, guess.reasons, "head"))
    assert Config.model_validate(read).columns == guess.config.columns


ODD = {
    "museum.csv": (
        "Inv. No.,Object,Date,Material,On view\n"
        '1902.14,Funerary mask,c. 1890,"wood, pigment",yes\n'
        "1911.3,Tea bowl,1870s,stoneware,no\n"
        "1930.2,Votive figure,3rd century BC,terracotta,yes\n"
        "1951.9,Bell,500-300 BC,bronze,yes\n"
        '1960.33,Watch,1785/86,"silver, enamel",no\n'
        "1977.5,Kilim,late 19th century,wool,no\n"
        "2004.6,Mosaic,AD 250,stone,yes\n"
    ),
    "jobs.tsv": (
        "job_id\tposition\tsalary\tposted\n"
        "J-1\tBackend Engineer\t60k-75k €\t2026-10-02\n"
        "J-2\tData Analyst\t45k €\t2026-10-11\n"
        "J-3\tUX Designer\ton request\t2026-09-28\n"
    ),
    "podcasts.csv": (
        "show,host,avg_length,explicit\n"
        "Small Rivers,Mara Quill,38:20,no\nLedger,Tom Aske,22:30,no\nNight Desk,Ona F,1:04:10,yes\n"
    ),
}


def test_odd_tables(tmp_path: Path) -> None:
    """What a museum, a job board and a podcast list write, as it is meant."""
    made = {}
    for name, text in ODD.items():
        (tmp_path / name).write_text(text)
        made[name] = prepare(tmp_path / name)
    museum, jobs, casts = (made[name] for name in ODD)
    assert museum.domain.noun_one == "object" and museum.df["id"][0] == "1902.14"
    assert museum.df["date"].to_list() == [1890, 1870, -250, -500, 1785, 1885, 250]
    assert museum.df["material"][4].to_list() == ["silver", "enamel"]
    assert museum.df["on_view"][1].to_list() == ["not on view"]
    assert jobs.df["title"][0] == "Backend Engineer"  # a date is no title
    assert jobs.df["salary"].to_list() == [75000, 45000, None]
    assert casts.df["avg_length"].to_list() == [38, 22, 64]  # minutes and seconds, hours once
    assert [f.role for f in casts.domain.facets if f.name == "host"] == ["maker"]
