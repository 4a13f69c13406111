# ruff: noqa: E501  (a pattern broken over lines is harder to read than a long one)
"""What the person wants to do with this turn, and how many items they asked for."""

from typing import Final

from agent.reading.speech import Speech
from agent.state import Act, DialogueState

_UNDO: Final = r"^\W*(?:please )?(?:(?:can (?:you|we) |let'?s |could you )?(?:undo|go back|step back|take (?:that|it) back|rewind|revert)|scratch that|forget (?:what i|i) (?:just )?said(?! about| of)|that was a mistake|never ?mind that|oops)\b"
_RESET: Final = r"\b(?:start (?:over|again|afresh|fresh|from scratch|anew)|begin again|new (?:chat|search|conversation)|(?:back to|from) the (?:start|beginning)|reset(?: everything)?|restart|clear (?:everything|all)|forget everything|from the (?:top|beginning)|wipe (?:everything|the slate)|let'?s begin again|scrap (?:all|everything))\b"
_HELP: Final = r"(?m)^\W*(?:help|\?+|what can (?:you|i) (?:do|ask|say)|what do you do|how does this work|how do (?:you|i) (?:work|use)|who are you|what are you|are you (?:a |an )?(?:bot|human|robot|ai|real)|what (?:is|'s) this|instructions|i need help\W*$|can you help me\W*$)"
_THANKS: Final = r"\b(?:thanks|thank you|thank u|thx|ty|cheers|much appreciated|appreciate (?:it|the|your)|thankyou|tysm)\b"
_BYE: Final = r"\b(?:bye|goodbye|good night|see (?:you|ya)|cya|farewell|that'?s all|i'?m done|have a (?:good|great|nice|lovely|wonderful) (?:one|day|night|evening|weekend|time)|take care|gotta go|so long|(?:talk|catch|see|speak) (?:to )?(?:you |ya )?(?:later|soon|around))\b"
_GREET: Final = r"^\W*(?:hi|hello|hey|hiya|howdy|yo|greetings|good (?:morning|afternoon|evening|day)|sup|what'?s up|hola|heya|hi there)\b"
_ACCEPT: Final = (
    r"\b(?:i'?ll|i will|we'?ll|we will|i'?m going to|i am going to|gonna|i'?d(?! (?:like|love|rather|prefer))|i'?ll go|let'?s|lets|think i'?ll|guess i'?ll)\s+(?:definitely |probably |just |try and |have to |go and |then )*(?:@VERB|take|go (?:with|for)|try|pick|choose|give|check|have|buy|get|do|add|settle (?:on|for)|put)\b"
    r"|\b(?:going with|going for|settled? on|i choose|i pick|i'?ve decided|i'?m sold|sold!|(?:that|this|it|which) (?:sounds?|looks?|seems?) (?:really |pretty |very |quite |absolutely |so |right )*(?:good|great|perfect|fun|nice|interesting|amazing|awesome|lovely|cool|up my alley|like (?:a|just|what|the))|sounds? (?:good|great|perfect|fun|like a plan|interesting|awesome)|that works|that'?ll do|works for me|it is(?:,? then)?\W*$|good (?:choice|pick|idea)|(?:would|will|'d) be (?:good|great|perfect|fine|lovely|ideal)\b|great (?:choice|pick|idea|suggestion)|perfect\b|i'?m in\b|excited to @VERB|been (?:wanting|meaning|hoping) to @VERB|dive in\b|right up my (?:alley|street)|that'?s the one|i like (?:the sound of )?(?:that|this)(?: one)?\W*$|exactly what i)"
)
_REJECT: Final = r"\b(?:none of (?:these|those|them)|not (?:that|this|those|these|it)(?: one| ones)?\b|(?:(?:i'?ve |i have |already |ive )+@DONE|@PAST) (?:it|that|this|them|those|these|all|both|every|most)\b|already @DONE\b|not interested|don'?t (?:really )?(?:like|want|fancy|care for) (?:it|that|this|any|these|those|them)\b|doesn'?t (?:appeal|interest|sound|seem|look)|isn'?t (?:really )?(?:for me|my)|not (?:really )?(?:for me|my (?:thing|type|kind|taste|cup)|what i)|i'?ll pass|pass on (?:that|this|it|the)|hard pass|no thanks|no thank you|nah\b|nope\b|something (?:else|different|completely different)|anything (?:else|different)|try again|different (?:ones?|suggestions?|options?|@NOUN)|other (?:ones?|suggestions?|options?|@NOUN|ideas?)|hated (?:it|that|this|them)|next\b|not (?:feeling|into) (?:it|that|this|any|these|them))"
_MORE: Final = r"\b(?:(?:some |any |a few |a couple |show me |give me |got any |\w+ )?more(?: (?:please|options?|suggestions?|recommendations?|ideas?|@NOUN|like (?:this|that|these|those)|of (?:these|those|them|the same)|choices))?\W*$|another(?: (?:one|@NOUN|suggestion|option|recommendation|few|couple|\w+))?\b|anything else|what else|any (?:other|others)\b|(?:some |any |a few |the |show me |see )others?\b|others\?|next (?:one|ones|page|batch|please)|keep (?:going|them coming)|continue|other (?:options?|suggestions?|recommendations?|ideas?|ones)|different ones|show me more|more (?:suggestions?|options?|recommendations?|ideas?|@NOUN)\b)"
_RECOMMEND: Final = r"\b(?:recommend\w*|suggest\w*|looking for|(?:want|like|love|need) (?:to (?:@VERB|find)|a|an|some|something|\w+ @NOUN)|in the mood|find me|show me|give me|what should i|what(?:'s| is| are) (?:a|an|some|your|good)\b|what (?:can|do|could) i|something|anything|any ideas|i feel like|ideas for|help me (?:find|pick|choose)|surprise me|@NOUN night|what (?:would|do) you|do you have|do you know|are there any)\b"
_YES: Final = r"^\W*(?:yes|yeah|yep|yup|sure|ok|okay|fine|alright|all right|go ahead|please do|do (?:it|that)|of course|absolutely|why not|y|sounds good|good idea|that'?s (?:fine|ok|okay)|please|great|definitely|agreed|works)\b"
_NO: Final = r"^\W*(?:no|nope|nah|not really|don'?t|keep)\b"
_INDIFFERENT: Final = r"\b(?:(?:i )?(?:don'?t|do not|dont) (?:really )?(?:care|mind|know)|no preferences?|any(?:thing|one)?(?: (?:is|would be|'s|goes|at all|works|will do|you like))*\W*$|anything(?: is)? (?:fine|ok|okay|goes|good|works)|any (?:\w+ )?(?:is|are|would be|will) (?:fine|ok|okay|good|do)|whatever(?: you (?:like|think|want))?|(?:doesn'?t|does not) matter|surprise me|up to you|you (?:choose|decide|pick)|either(?: one| way| is fine)?\W*$|not (?:sure|fussed|bothered|picky|particular|really)|no idea|not fussy|open to (?:anything|all|any)|both\W*$|all of (?:them|the above)|i'?m (?:easy|open|flexible)|nothing (?:in particular|specific)|makes no difference|no particular)\b|^\W*(?:any|either|idk|dunno|whatever|no)\W*$"


def last_act(state: DialogueState) -> Act | None:
    """The agent's last act before the turn being read."""
    for turn in reversed(state.turns):
        if turn.role == "agent":
            return turn.act
    return None


def says(name: str, low: str, speech: Speech) -> bool:
    """Does the turn match one of the fixed patterns: undo, reset, help, ..., yes, indifferent?"""
    return bool(speech.pattern(_PATTERNS[name]).search(low))


_PATTERNS: Final = {
    "undo": _UNDO, "reset": _RESET, "help": _HELP, "thanks": _THANKS, "bye": _BYE, "greet": _GREET,
    "accept": _ACCEPT, "reject": _REJECT, "more": _MORE, "recommend": _RECOMMEND, "yes": _YES,
    "no": _NO, "indifferent": _INDIFFERENT,
}  # fmt: skip
