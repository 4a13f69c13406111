"""Small written tables: what the sources call a genre, country or language, and what we call it.

Genres are a closed vocabulary of 25; finer Wikidata genres ("heist film") become themes,
which are facts too. What is not in a table is dropped, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable

GENRES = (
    "Action Adventure Animation Biography Comedy Crime Documentary Drama Family Fantasy "
    "Historical Horror Martial_Arts Musical Mystery Noir Romance Science_Fiction Sports Spy "
    "Superhero Supernatural Thriller War Western"
)
GENRE_NAMES = tuple(name.replace("_", " ") for name in GENRES.split())
MAX_GENRES = 5

#: surface in the sources (lower case, without " film"/" movie") -> genres
_GENRES: dict[str, str] = {
    **{name.lower(): name for name in GENRE_NAMES},
    "animated": "Animation",
    "traditionally animated": "Animation",
    "computer-animated": "Animation",
    "live-action/animated": "Animation",
    "stop-motion animated": "Animation",
    "flash animation": "Animation",
    "anime": "Animation",
    "fantasy anime and manga": "Animation,Fantasy",
    "drama anime and manga": "Animation,Drama",
    "adventure anime and manga": "Animation,Adventure",
    "romance anime and manga": "Animation,Romance",
    "action anime and manga": "Animation,Action",
    "comedy manga and anime": "Animation,Comedy",
    "mecha": "Animation,Science Fiction",
    "sport": "Sports",
    "biographical": "Biography",
    "docudrama": "Drama,Historical",
    "nature documentary": "Documentary",
    "rockumentary": "Documentary",
    "concert": "Documentary",
    "mockumentary": "Comedy",
    "romantic comedy": "Romance,Comedy",
    "comedy-drama": "Comedy,Drama",
    "comedy horror": "Comedy,Horror",
    "zombie comedy": "Comedy,Horror",
    "comic science fiction": "Comedy,Science Fiction",
    "comedy thriller": "Comedy,Thriller",
    "action comedy": "Action,Comedy",
    "crime-comedy": "Crime,Comedy",
    "black comedy": "Comedy",
    "sex comedy": "Comedy",
    "tragicomedy": "Comedy,Drama",
    "screwball comedy": "Comedy",
    "comedy of remarriage": "Comedy,Romance",
    "commedia all'italiana": "Comedy",
    "slapstick": "Comedy",
    "parody": "Comedy",
    "satire": "Comedy",
    "buddy": "Comedy",
    "buddy cop": "Action,Crime",
    "science fiction action": "Science Fiction,Action",
    "military science fiction": "Science Fiction",
    "space opera": "Science Fiction",
    "cyberpunk": "Science Fiction",
    "dystopian": "Science Fiction",
    "dystopia": "Science Fiction",
    "post-apocalyptic": "Science Fiction",
    "post-apocalyptic fiction": "Science Fiction",
    "alien invasion": "Science Fiction",
    "monster": "Horror",
    "zombie": "Horror",
    "vampire": "Horror",
    "werewolf": "Horror",
    "slasher": "Horror",
    "cannibal": "Horror",
    "giallo": "Horror,Mystery",
    "psychological horror": "Horror",
    "gothic horror": "Horror",
    "horror fiction": "Horror",
    "found footage": "Horror",
    "supernatural fiction": "Supernatural",
    "ghost": "Supernatural",
    "suspense": "Thriller",
    "psychological thriller": "Thriller",
    "political thriller": "Thriller",
    "erotic thriller": "Thriller",
    "action thriller": "Action,Thriller",
    "crime thriller": "Crime,Thriller",
    "techno-thriller": "Thriller",
    "disaster": "Thriller",
    "survival": "Adventure",
    "treasure hunt": "Adventure",
    "swashbuckler": "Adventure",
    "peplum genre": "Adventure,Historical",
    "epic": "Adventure",
    "heist": "Crime",
    "gangster": "Crime",
    "hood": "Crime",
    "mafia": "Crime",
    "prison": "Crime",
    "police procedural": "Crime",
    "poliziotteschi": "Crime",
    "detective fiction": "Mystery",
    "detective": "Mystery",
    "mystery fiction": "Mystery",
    "neo-noir": "Noir,Crime",
    "film noir": "Noir",
    "kung fu": "Martial Arts",
    "wuxia": "Martial Arts",
    "legal": "Drama",
    "trial": "Drama",
    "legal drama": "Drama",
    "melodrama": "Drama",
    "teen drama": "Drama",
    "political drama": "Drama",
    "medical drama": "Drama",
    "slice of life": "Drama",
    "costume drama": "Historical,Drama",
    "historical period drama": "Historical,Drama",
    "historical fiction": "Historical",
    "alternate history": "Science Fiction",
    "children's": "Family",
    "cinematic fairy tale": "Fantasy",
    "fairy tale": "Fantasy",
    "dance": "Musical",
    "spaghetti western": "Western",
    "revisionist western": "Western",
    "b western": "Western",
}

#: finer genres that are worth a theme of their own
_THEMES: dict[str, str] = {
    "heist": "heist",
    "coming-of-age story": "coming of age",
    "christmas": "christmas",
    "zombie": "zombies",
    "zombie comedy": "zombies",
    "vampire": "vampires",
    "werewolf": "werewolves",
    "monster": "monsters",
    "slasher": "slasher",
    "dystopian": "dystopia",
    "dystopia": "dystopia",
    "post-apocalyptic": "post-apocalypse",
    "post-apocalyptic fiction": "post-apocalypse",
    "alien invasion": "alien invasion",
    "space opera": "space opera",
    "cyberpunk": "cyberpunk",
    "prison": "prison",
    "trial": "courtroom",
    "legal": "courtroom",
    "disaster": "disaster",
    "survival": "survival",
    "treasure hunt": "treasure hunt",
    "swashbuckler": "swashbuckling",
    "road movie": "road trip",
    "parody": "parody",
    "satire": "satire",
    "black comedy": "black comedy",
    "screwball comedy": "screwball",
    "mockumentary": "mockumentary",
    "found footage": "found footage",
    "teen": "teenagers",
    "teen drama": "teenagers",
    "buddy": "friendship",
    "female buddy": "female friendship",
    "buddy cop": "buddy cops",
    "lgbt-related": "lgbt",
    "blaxploitation": "blaxploitation",
    "gangster": "gangsters",
    "mafia": "gangsters",
    "anime": "anime",
    "giallo": "giallo",
    "spaghetti western": "spaghetti western",
    "neo-noir": "neo-noir",
    "kung fu": "kung fu",
    "wuxia": "wuxia",
    "cinematic fairy tale": "fairy tale",
    "fairy tale": "fairy tale",
    "rape and revenge": "revenge",
    "vigilante": "vigilante",
    "political thriller": "politics",
    "political": "politics",
    "psychological thriller": "psychological",
    "psychological horror": "psychological",
    "costume drama": "period drama",
    "historical period drama": "period drama",
    "detective": "detective",
    "detective fiction": "detective",
    "alternate history": "alternate history",
    "beach party": "beach",
    "anthology": "anthology",
    "concert": "concert",
    "rockumentary": "music",
    "martial arts": "martial arts",
    "independent": "independent",
}

#: Not films, or not for a general audience: left out unless we wrote about them.
_UNWANTED = (
    "television", "sitcom", "situation comedy", "soap opera", "series", "serial", "novel",
    "comic", "manga", "procedural", "pornographic", "pink film", "telenovela", "video game",
)  # fmt: skip
_WANTED = ("comic science fiction", "anime and manga", "manga and anime", "comedy manga")

COUNTRIES: dict[str, str] = {
    "Q30": "United States", "Q145": "United Kingdom", "Q142": "France", "Q668": "India",
    "Q183": "Germany", "Q38": "Italy", "Q16": "Canada", "Q17": "Japan", "Q8646": "Hong Kong",
    "Q29": "Spain", "Q884": "South Korea", "Q408": "Australia", "Q34": "Sweden", "Q148": "China",
    "Q15180": "Soviet Union", "Q96": "Mexico", "Q414": "Argentina", "Q159": "Russia",
    "Q36": "Poland", "Q155": "Brazil", "Q35": "Denmark", "Q928": "Philippines", "Q801": "Israel",
    "Q33": "Finland", "Q55": "Netherlands", "Q43": "Turkey", "Q20": "Norway", "Q40": "Austria",
    "Q31": "Belgium", "Q27": "Ireland", "Q258": "South Africa", "Q869": "Thailand",
    "Q41": "Greece", "Q39": "Switzerland", "Q28": "Hungary", "Q33946": "Czechoslovakia",
    "Q213": "Czech Republic", "Q794": "Iran", "Q664": "New Zealand", "Q45": "Portugal",
    "Q865": "Taiwan", "Q218": "Romania", "Q36704": "Yugoslavia", "Q83286": "Yugoslavia",
    "Q403": "Serbia", "Q252": "Indonesia", "Q298": "Chile", "Q79": "Egypt", "Q241": "Cuba",
    "Q189": "Iceland", "Q224": "Croatia", "Q16957": "East Germany", "Q713750": "Germany",
    "Q7318": "Germany", "Q41304": "Germany", "Q219": "Bulgaria", "Q739": "Colombia",
    "Q843": "Pakistan", "Q334": "Singapore", "Q717": "Venezuela", "Q419": "Peru",
    "Q902": "Bangladesh", "Q191": "Estonia", "Q1033": "Nigeria",
    "Q225": "Bosnia and Herzegovina", "Q822": "Lebanon", "Q881": "Vietnam", "Q77": "Uruguay",
    "Q37": "Lithuania", "Q32": "Luxembourg", "Q212": "Ukraine", "Q1028": "Morocco",
    "Q833": "Malaysia", "Q222": "Albania", "Q786": "Dominican Republic", "Q837": "Nepal",
    "Q424": "Cambodia", "Q232": "Kazakhstan", "Q214": "Slovakia", "Q215": "Slovenia",
    "Q262": "Algeria", "Q211": "Latvia", "Q750": "Bolivia", "Q184": "Belarus", "Q796": "Iraq",
    "Q948": "Tunisia", "Q114": "Kenya", "Q221": "North Macedonia", "Q230": "Georgia",
}  # fmt: skip

LANGUAGES: dict[str, str] = {
    "Q1860": "English", "Q7976": "English", "Q7979": "English", "Q150": "French",
    "Q652": "Italian", "Q188": "German", "Q1321": "Spanish", "Q5287": "Japanese",
    "Q1568": "Hindi", "Q9186": "Cantonese", "Q7737": "Russian", "Q9176": "Korean",
    "Q9027": "Swedish", "Q5146": "Portuguese", "Q9192": "Mandarin", "Q727694": "Mandarin",
    "Q7850": "Chinese", "Q809": "Polish", "Q13955": "Arabic", "Q7411": "Dutch",
    "Q256": "Turkish", "Q5885": "Tamil", "Q9035": "Danish", "Q9056": "Czech",
    "Q9043": "Norwegian", "Q1412": "Finnish", "Q9288": "Hebrew", "Q8097": "Telugu",
    "Q9217": "Thai", "Q9067": "Hungarian", "Q9610": "Bengali", "Q36236": "Malayalam",
    "Q9168": "Persian", "Q9129": "Greek", "Q9299": "Serbian", "Q9240": "Indonesian",
    "Q7913": "Romanian", "Q34057": "Tagalog", "Q33298": "Filipino", "Q294": "Icelandic",
    "Q6654": "Croatian", "Q9301": "Serbo-Croatian", "Q1617": "Urdu", "Q33673": "Kannada",
    "Q7918": "Bulgarian", "Q9072": "Estonian", "Q8108": "Georgian", "Q8748": "Albanian",
    "Q9303": "Bosnian", "Q9199": "Vietnamese", "Q7026": "Catalan", "Q9063": "Slovene",
    "Q58635": "Punjabi", "Q36368": "Kurdish", "Q14196": "Afrikaans", "Q9296": "Macedonian",
    "Q8641": "Yiddish", "Q1571": "Marathi", "Q9252": "Kazakh", "Q9058": "Slovak",
    "Q8798": "Ukrainian", "Q7838": "Swahili", "Q9205": "Khmer", "Q9246": "Mongolian",
    "Q9083": "Lithuanian", "Q10179": "Zulu",
}  # fmt: skip

#: what a first sentence calls a film of a country: "is a 1981 American comedy"
ADJECTIVES: dict[str, str] = {
    "American": "United States", "British": "United Kingdom", "English": "United Kingdom",
    "French": "France", "German": "Germany", "Italian": "Italy", "Spanish": "Spain",
    "Canadian": "Canada", "Australian": "Australia", "Indian": "India", "Japanese": "Japan",
    "Chinese": "China", "Hong Kong": "Hong Kong", "South Korean": "South Korea",
    "Swedish": "Sweden", "Danish": "Denmark", "Norwegian": "Norway", "Mexican": "Mexico",
    "Irish": "Ireland", "New Zealand": "New Zealand", "Israeli": "Israel", "Russian": "Russia",
    "Soviet": "Soviet Union", "Polish": "Poland", "Brazilian": "Brazil", "Dutch": "Netherlands",
    "Belgian": "Belgium", "Thai": "Thailand", "Iranian": "Iran", "Turkish": "Turkey",
    "South African": "South Africa", "Hungarian": "Hungary", "Austrian": "Austria",
}  # fmt: skip


def _surface(name: str) -> str:
    name = name.strip().lower()
    if name in _GENRES:  # "film noir"
        return name
    return name.removesuffix(" film").removesuffix(" movie") if name != "road movie" else name


def genres(names: Iterable[str]) -> list[str]:
    """Canonical genres, first come first, at most ``MAX_GENRES``."""
    found: dict[str, None] = {}
    for name in names:
        for genre in _GENRES.get(_surface(name), "").split(","):
            if genre:
                found[genre] = None
    return list(found)[:MAX_GENRES]


def themes(names: Iterable[str]) -> list[str]:
    """Themes that a fine Wikidata genre states outright ("heist film" -> "heist")."""
    found = (_THEMES.get(_surface(name)) for name in names)
    return list(dict.fromkeys(theme for theme in found if theme))


def unwanted(names: Iterable[str]) -> bool:
    """Do the source's genres say that this is no film, or not one for a general audience?"""
    for name in names:
        lower = name.lower()
        if any(word in lower for word in _WANTED):
            continue
        if any(word in lower for word in _UNWANTED):
            return True
    return False
