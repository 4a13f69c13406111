"""Surface patterns of user turns: our own wordings, by what they say.

``[T]`` title, ``[P]`` person, ``[C]`` category, ``[L]`` language or country, ``[S]`` scale
word, ``[SC]`` its comparative, ``[N]`` number phrase, ``[A]`` subject, ``[R]`` reference to
the slate, ``[F]`` the name of a facet, ``[noun]``/``[nouns]`` the catalogue's own nouns.
A key is "slot operator"; the operator holds for every slot in the pattern unless written
behind it ("[T:seen]").
"""

from typing import Final

FRAGMENTS: Final[dict[str, list[str]]] = {
    "title like": [
        "i loved [T]", "i really liked [T]", "[T] is one of my favourites", "i enjoyed [T] a lot",
        "[T] was great", "my favourite [noun] is [T]", "i adore [T] and [T]", "[T] was amazing",
        "i thought [T] was brilliant", "we loved [T]", "big fan of [T]", "[T] is the best",
        "i could watch [T] every day", "[T], [T] and [T] are all time favourites", "loved [T]",
        "i like [T], [T], that kind of thing", "[T] really stayed with me", "cant get enough of [T]",
        "what i liked best was [T]", "im obsessed with [T]", "[T] blew me away", "[T] and [T]",
        "[T] made me laugh so much", "[T] is a favorite of mine", "i grew up on [T]", "[T]",
    ],
    "title dislike": [
        "i hated [T]", "i didn't like [T]", "[T] was terrible", "[T] bored me", "not a fan of [T]",
        "[T] did nothing for me", "i couldn't finish [T]", "[T] was a letdown", "can't stand [T]",
        "i wasn't into [T]", "[T] is so overrated", "i walked out of [T]", "[T] was awful",
        "[T] didn't work for me", "i found [T] dull", "[T] was not my cup of tea",
    ],
    "title seen": [
        "i've seen [T]", "i already watched [T]", "saw [T] last week", "i've seen [T] and [T]",
        "just watched [T]", "i know [T] already", "we watched [T] yesterday", "seen [T]",
        "already saw [T]", "i have watched [T] twice", "i caught [T] on tv",
    ],
    "title similar": [
        "something like [T]", "more like [T]", "similar to [T]", "anything in the vein of [T]",
        "[nouns] like [T]", "a [noun] like [T] or [T]", "in the style of [T]", "along the lines of [T]",
        "something that feels like [T]", "what is close to [T]", "the next [T]", "another [T]",
        "something with the same vibe as [T]", "if i liked [T] what should i get",
        "give me something as good as [T]", "something to follow [T]", "stuff like [T]",
    ],
    "person want": [
        "with [P]", "starring [P]", "directed by [P]", "by [P]", "anything with [P]", "a [P] [noun]",
        "something from [P]", "[nouns] by [P]", "something featuring [P]", "more [P]",
        "[P] should be in it", "i'd watch anything [P] does", "do you have any [P] [nouns]",
        "made by [P]", "with [P] and [P]", "i love [P]", "big [P] fan", "[P] [nouns] are great",
    ],
    "person not": [
        "no [P]", "without [P]", "not by [P]", "nothing with [P]", "i can't stand [P]",
        "anyone but [P]", "please no [P] [nouns]", "i'm tired of [P]", "skip [P]", "i dislike [P]",
        "i avoid [P] [nouns]", "not [P] again", "leave out [P]", "i'm no fan of [P]",
    ],
    "category want": [
        "a [C]", "a good [C]", "some [C] [nouns]", "[C] please", "any [C] [noun]", "a [C] or a [C]",
        "i'm in the mood for a [C]", "i feel like a [C]", "a [C] [C]", "i like [C] [nouns]",
        "i usually go for [C]", "i love [C]", "[C] is my thing", "i'm into [C] and [C]",
        "a solid [C] [noun]", "i prefer [C]", "make it a [C]", "only [C]", "[C]", "how about [C]",
        "[C] [nouns] always work for me", "i'm a sucker for [C]", "something in the [C] department",
    ],
    "category not": [
        "no [C]", "not a [C]", "anything but [C]", "i don't like [C]", "i hate [C]", "no [C] or [C]",
        "nothing from the [C] shelf", "please avoid [C]", "i'm not into [C]", "without any [C]",
        "i have no patience for [C] [nouns]", "[C] is not for me", "i've had enough of [C]",
        "i never watch [C]", "keep [C] out of it", "except [C]", "i stay away from [C]",
        "[C] [nouns] bore me", "i have no interest in [C]", "i tend to skip [C]",
    ],
    "place want": [
        "in [L]", "a [L] [noun]", "[L] [nouns]", "something [L]", "from [L]", "made in [L]",
        "[L] language", "i want to hear [L]", "some [L] cinema",
    ],
    "place not": ["not in [L]", "nothing [L]", "no [L] [nouns]", "not [L] please", "anything but [L]"],
    "scale want": [
        "something [S]", "a [S] [noun]", "[SC]", "[SC] please", "a bit [SC]", "make it [SC]",
        "i'd like it [SC]", "could it be [SC]", "really [S]", "[S] and [S]", "more [S]",
        "i want to feel [S]", "something [SC] than that", "much [SC]", "as [S] as possible",
    ],
    "scale not": [
        "not too [S]", "nothing too [S]", "less [S]", "not so [S]", "without being [S]",
        "that was too [S]", "these are too [S]", "way too [S] for me", "a little less [S]",
        "i don't want it to be [S]", "as long as it isn't [S]", "i can't handle [S]",
    ],
    "number min": ["[N>]", "only [N>]", "nothing [N<]", "it should be [N>]", "made [N>]"],
    "number max": ["[N<]", "nothing [N>]", "must be [N<]", "it has to be [N<]", "ideally [N<]"],
    "number want": ["[N=]", "made [N=]", "[nouns] [N=]", "a [noun] [N=]", "[N=] or so"],
    "about want": [
        "about [A]", "something about [A]", "a [noun] about [A]", "a story of [A]", "where [A]",
        "set around [A]", "dealing with [A]", "something with [A]", "involving [A]", "[A]",
        "i want to see [A]", "stories about [A]", "i'm curious about [A]", "that explores [A]",
        "i love [nouns] about [A]", "i'm drawn to [A]", "[nouns] focusing on [A]",
    ],
    "about not": [
        "nothing about [A]", "not about [A]", "i avoid [nouns] about [A]", "please no [A]",
        "i can't stand [nouns] about [A]", "i have no interest in [A]", "i'd rather not see [A]",
        "i never bother with [nouns] about [A]", "i don't enjoy [nouns] focusing on [A]",
    ],
    "retract": [
        "forget the [C]", "drop the [C]", "the [F] doesn't matter", "any [F] is fine",
        "it doesn't have to be [C]", "never mind [P]", "remove the [F]", "ignore the [F]",
        "actually any [F] will do", "it needn't be [L]", "i no longer need [P]", "lift the [F] limit",
        "you can lose the [C] part", "i don't mind about the [F]", "scrap [N=]", "it can be [N<] too",
        "let's not limit it to [C]", "i changed my mind about [P]", "no need to stick to [L]",
    ],
    "ref like": ["i like [R]", "[R] looks good", "[R] is a favourite of mine", "i loved [R]"],
    "ref seen": ["i've seen [R]", "already watched [R]", "seen [R]", "i know [R]"],
    "ref reject": ["not [R]", "i don't want [R]", "[R] isn't for me", "skip [R]", "anything but [R]",
                   "i hated [R]", "[R] doesn't appeal", "i'll pass on [R]"],
    "ref similar": ["more like [R]", "like [R]", "something close to [R]", "similar to [R]"],
    "ref accept": ["i'll watch [R]", "i'll take [R]", "let's go with [R]", "[R] it is", "[R] please",
                   "i'm going with [R]", "i think i'll try [R]", "[R] sounds perfect", "sold on [R]",
                   "ok [R] then", "put on [R]", "we'll have [R]", "i choose [R]"],
}  # fmt: skip

GREETINGS: Final[list[str]] = ["", "", "", "", "", "hi,", "hello!", "hey,", "ok", "so", "well", "hmm"]
OPENERS: Final[list[str]] = [
    *GREETINGS, "please", "i want", "i'd like",
    "i am looking for", "looking for", "can you find me", "recommend me", "show me", "do you have",
    "maybe", "tonight i want", "we want", "could you suggest", "i need", "i feel like", "what about",
    "how about", "my partner wants", "give me", "any ideas for", "got", "i fancy",
]  # fmt: skip
JOINERS: Final[list[str]] = [", ", " and ", ", but ", ". ", " ", " but ", ", also ", "; ", " though ", ". also "]
CLOSERS: Final[list[str]] = ["", "", "", "", "", " please", " thanks", "?", ".", "!", " if possible", " for tonight"]

#: Whole turns by intent; a slot is followed by its operator where one is meant.
WHOLE: Final[dict[str, list[str]]] = {
    "greet": ["hi", "hello", "hey there", "good evening", "hiya", "hello, how are you", "yo",
              "hi! nice to meet you", "good morning", "hey, what's up", "howdy", "hi there friend"],
    "thanks": ["thanks", "thank you so much", "cheers", "great, thanks a lot", "thx", "ta",
               "thank you, that helps", "much appreciated", "you've been helpful", "lovely, thank you"],
    "bye": ["bye", "goodbye", "see you later", "that's all for now", "good night", "i'm off", "cya",
            "talk to you soon", "i have to go now", "that will be everything", "catch you later"],
    "help": ["help", "what can you do", "how does this work", "who are you", "what should i say",
             "are you a robot", "what can i ask you", "explain what you do", "what is this thing"],
    "undo": ["undo", "undo that", "go back", "take that back", "scratch that", "oops, go back one step",
             "that was a mistake, undo", "revert", "rewind that", "forget what i just said"],
    "reset": ["start over", "let's start again", "reset", "new search", "begin again please",
              "forget everything", "clear all and restart", "can we start from scratch", "wipe it all"],
    "more": ["more", "show me more", "any others", "what else", "three more please", "next",
             "give me another one", "more options", "anything else like that", "some more please",
             "do you have more", "keep going", "got five others", "other suggestions", "what else is there"],
    "reject": ["none of these", "no, none of those", "i don't like any of them", "not for me", "nah",
               "not interested", "i've seen them all", "these don't appeal to me", "no thanks",
               "that's not what i meant", "something different", "try again", "wrong direction",
               "that isn't really my kind of [noun]", "i'm not feeling these", "heard bad things about that",
               "i'd rather see something else", "those look boring", "not in the mood for that one"],
    "accept": ["sounds good", "perfect, i'll watch that", "great pick", "ok let's do that one", "sold",
               "that's the one", "yes, that one", "i'm going to watch it tonight", "love it, thanks",
               "that looks right up my street", "adding it to my list", "brilliant choice", "i'm in",
               "this is just what i wanted", "exactly what i was hoping for", "can't wait to see it"],
    "chat": ["lol", "how are you today", "i had a long day", "it is raining here", "nice", "cool", "wow",
             "my dog is asleep", "what do you think of football", "tell me a joke", "i'm hungry",
             "what's the weather", "do you dream", "who won the election", "i see", "got it", "okay",
             "interesting", "haha good one", "you are funny", "that makes sense", "book me a taxi",
             "what is two plus two", "play some music", "i agree", "understood", "right"],
    "recommend": ["recommend something", "what should i watch", "surprise me", "any suggestions",
                  "i don't know what to pick", "help me choose a [noun]", "find me a good [noun]",
                  "what do you suggest for tonight", "i'm bored, suggest a [noun]", "what's good"],
    "ask_why": ["why", "why that one", "why [R:ask]", "why did you choose [R:ask]", "why [T:ask]",
                "what made you pick that", "how come you suggest [R:ask]", "what makes you think i'd like [R:ask]",
                "explain your choice", "what's the reason for [T:ask]", "why would i enjoy [R:ask]"],
    "compare": ["compare [R:ask] and [R:ask]", "which is better", "which one is the newest", "which of these is shortest",
                "what's the difference between [R:ask] and [R:ask]", "which is the funniest", "[T:ask] or [T:ask]",
                "[T:ask] vs [T:ask]", "which would you pick", "how do [R:ask] and [R:ask] differ",
                "which of them is the most [S:ask]", "what's the longest of these", "is [T:ask] better than [T:ask]",
                "which one should i choose", "the [S:ask]est one of these"],
    "ask_fact": ["how long is it", "how long is [R:ask]", "who directed [T:ask]", "who made it", "who is in it",
                 "who stars in [T:ask]", "what is it about", "what's [R:ask] about", "tell me more about [T:ask]",
                 "when did it come out", "what year is [R:ask]", "is it in [L:ask]", "is it [S:ask]",
                 "is [R:ask] a [C:ask]", "how [S:ask] is [T:ask]", "is it suitable for children", "what's the plot",
                 "which country is it from", "what language is [R:ask] in", "does it star [P:ask]",
                 "is [P:ask] in it", "what's the [F:ask]", "do you know the [F:ask] of [T:ask]", "is that one [S:ask]",
                 "can you tell me the [F:ask]", "who plays in [R:ask]", "give me the plot of [T:ask]",
                 "has it got a happy ending", "is it any good", "did it win prizes", "more details on [R:ask]",
                 "who is the [F:ask] of [R:ask]", "was it made [N=:ask]", "is it [N<:ask]", "how old is it",
                 "would you call it a [C:ask]", "what kind of [noun] is [T:ask]", "how are its reviews"],
    "relax": ["yes", "ok", "sure", "go ahead", "yes, drop it", "the first option", "fine, drop the [F:retract]",
              "yes please", "ok forget the [F:retract]", "do that", "option two", "alright then",
              "drop the [C:retract]", "you can ignore the [F:retract]", "let's relax the [F:retract]"],
    "answer": ["i don't mind", "no preference", "anything", "whatever", "you choose", "not sure", "any",
               "doesn't matter", "i don't care", "either is fine", "no idea", "surprise me", "up to you"],
}  # fmt: skip
