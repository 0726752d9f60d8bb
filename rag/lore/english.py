"""English words that the derivation of facts goes by: who is meant, how verbs bend, what says nothing.

Another language is another module with these names.
"""

from __future__ import annotations

import re

from rag.words import word_set

CONTRACTIONS = tuple(
    (re.compile(pattern, re.IGNORECASE), expanded)
    for pattern, expanded in (
        (r"\b(i)'m\b", r"\1 am"),
        (r"\b(i|we|you|they|who)'ve\b", r"\1 have"),
        (r"\b(i|we|you|he|she|it|they|that|there)'ll\b", r"\1 will"),
        (r"\b(i|we|you|he|she|they)'d (?=(?:been|had|gone|done|seen|never)\b)", r"\1 had "),
        (r"\b(i|we|you|he|she|they)'d\b", r"\1 would"),
        (r"\b(we|you|they)'re\b", r"\1 are"),
        (r"\b(he|she|it|that|there|here|what|who)'s (?=(?:been|got|had|gone)\b)", r"\1 has "),
        (r"\b(he|she|it|that|there|here|what|who)'s\b", r"\1 is"),
        (r"\bwon't\b", "will not"),
        (r"\b(?:can't|cannot|cant)\b", "can not"),
        (r"\b(do|does|did|is|are|was|were|have|has|had|would|could|should|must)n'?t\b", r"\1 not"),
        (r"\b(i) dont\b", r"\1 do not"),
        (r"\b(i|we) (?:am |are )?(?:gonna|gon na)\b", r"\1 am going to"),
        (r"\bgonna\b", "going to"),
        (r"\bwanna\b", "want to"),
        (r"\bgotta\b", "have to"),
        (r"\bkinda\b", "kind of"),
        (r"\b(i|we) (am|are) gon\b", r"\1 am going"),
        (r"(?<!\w)'?cause\b(?! for)", "because"),
        (r"\b(i) (?:was|am) (?:just )?like,", r"\1 said"),
    )
)

FILLERS = re.compile(
    r"^(?:(?:(?:oh|ah|aw+|wow|whoa|woah|yay|hey|hi|hello|yo|hm+|haha\w*|lol|yeah|yea|yep|yup|yes|no|nope|nah|ok|okay|sure|cool|nice|great|"
    r"awesome|right|exactly|definitely|absolutely|totally|certainly|indeed|of course|for sure|thanks|thank you|thx|well|so|and|but|or|also|"
    r"plus|anyway|anyways|actually|honestly|frankly|basically|seriously|btw|by the way|speaking of which|funny enough|to be honest|tbh|fyi|"
    r"you know|i mean|guess what|turns out|unfortunately|sadly|luckily|fortunately|thankfully|hopefully|oh man|man|dude|good question|"
    r"same here|me too|additionally|besides|then|now|in fact|as for me|for me|in the end|after that|on another note|in the "
    r"meantime|meanwhile|on that note|afterwards|since then|"
    r"lately|recently|these days|at the moment|right now|currently|ever since|"
    r"since (?:our last (?:chat|talk|conversation)|we (?:last|have last) (?:chatted|spoke|talked|met)|we (?:chatted|spoke|talked) last)|"
    r"(?:that is|this is|it is) why|the thing is|news flash|update|correction|sorry|"
    r"(?:please )?(?:remember|note|keep in mind|do not forget|be aware)(?: please)?(?: that)?(?= (?:i|my|we|our)\b)|"
    r"(?:just )?(?:wanted|want) to (?:let you know|tell you|share|say)(?: that)?(?= (?:i|my|we|our)\b)|"
    r"(?:i|we) (?:think|guess|believe|suppose|must say|have to say|have to admit|must admit|just realized|want(?:ed)? to (?:tell "
    r"you|share|let you know|"
    r"mention)|can (?:proudly )?say|can tell you)(?: that)?(?= (?:i|my|we|our)\b)|"
    r"(?:did i (?:tell|mention)|have i (?:told|mentioned))(?: to)?(?: you)?(?: that)?(?= (?:i|my|we)\b)|"
    r"(?:i am )?(?:so |really |super )?(?:glad|happy|proud|excited|thrilled|sad|sorry) (?:to (?:say|report|share|announce)|"
    r"that)(?: that)?(?= (?:i|my|we)\b)"
    r")\b(?:['’]s)?[\s,.!:;~-]*)+)",
    re.IGNORECASE,
)

SPLITS = re.compile(
    r"\s*(?:[;–—]|\s-{1,2}\s|(?<=\w)-\s(?=i\b|it\b|we\b)|--|\.{3,}|…|:\s)\s*"
    r"|,?\s+(?:and(?: then| so| also| now)?|but|so|yet|plus|though|although|then)\s+(?=(?:i|we|it|it is|he|she|they|you|there|"
    r"that is|this is)\b(?! and\b))"
    r"|,\s+(?:and(?: then| so| also| now)?|but|so|yet|plus|though|although)\s+(?=(?:my|our|the|that|this|his|her|their|what|who|how|let)\b)"
    r"|,\s+(?:(?:but|although|though|yet|like i said|as i said)\b,?\s*|so (?!that\b))"
    r"|\s+now that (?=(?:i|we|my|our)\b)"
    r"|,\s+(?=(?:i|we|it|they|he|she|you|that is|this is|which reminds)\b)"
    r"|,?\s+and\s+(?=(?:my|our) (?:\w+ ){1,3}(?:is|are|was|were|has|have|loves?|likes?)\b)",
    re.IGNORECASE,
)

ADVERBS = word_set(
    "also always already actually almost usually often sometimes never ever still just even now then recently currently finally really "
    "totally definitely truly simply both all only once again soon first probably maybe mostly mainly sort kind of have been so kinda "
    "originally previously absolutely especially generally normally rarely seldom lately"
) - word_set("have been")

MODALS = word_set("will would can could shall should may might must ought")
"""Verbs that do not bend."""

BARE_PAST = word_set("put cut hit let set read cost hurt quit shut spread beat bet split burst cast")
"""Present and past look alike."""

NOT_PAST = word_set(
    "need feed bleed breed speed exceed proceed succeed shed wed sing bring ring swing cling fling sling sting king thing nothing"
)
"""Base forms that end as if they were bent."""

IRREGULAR = {
    past: base
    for base, pasts in {
        "be": "was were been am is are being", "have": "had has having", "do": "did done does", "go": "went gone goes", "get": "got gotten",
        "make": "made", "take": "took taken", "retake": "retook retaken", "rewrite": "rewrote rewritten",
        "rebuild": "rebuilt", "come": "came", "see": "saw seen", "know": "knew known", "give": "gave given",
        "find": "found", "think": "thought", "tell": "told", "become": "became", "leave": "left", "feel": "felt", "bring": "brought",
        "begin": "began begun", "keep": "kept", "hold": "held", "write": "wrote written writing", "stand": "stood", "hear": "heard",
        "mean": "meant", "meet": "met", "run": "ran running", "pay": "paid", "sit": "sat sitting", "speak": "spoke spoken", "lie": "lay lain",
        "lead": "led", "grow": "grew grown", "lose": "lost losing", "fall": "fell fallen", "send": "sent", "build": "built",
        "understand": "understood", "draw": "drew drawn", "break": "broke broken", "spend": "spent", "drive": "drove driven driving",
        "buy": "bought", "wear": "wore worn", "choose": "chose chosen choosing", "eat": "ate eaten", "teach": "taught", "catch": "caught",
        "fight": "fought", "sell": "sold", "sing": "sang sung", "fly": "flew flown", "swim": "swam swum swimming", "win": "won winning",
        "ride": "rode ridden riding", "sleep": "slept", "throw": "threw thrown", "wake": "woke woken", "drink": "drank drunk", "say": "said",
        "show": "showed shown", "rise": "rose risen", "forget": "forgot forgotten", "hide": "hid hidden", "shoot": "shot", "dig": "dug",
        "hang": "hung", "stick": "stuck", "strike": "struck", "swear": "swore sworn", "tear": "tore torn", "dream": "dreamt", "learn": "learnt",
        "bake": "baking", "move": "moving moved", "use": "used using", "adopt": "adopted", "visit": "visited", "live": "living lived",
        "hike": "hiking hiked", "create": "created creating",
        "decide": "decided deciding", "provide": "provided providing", "dance": "dancing danced",
        "bite": "bit bitten", "lend": "lent", "bend": "bent", "feed": "fed", "shake": "shook",
        "freeze": "froze frozen", "steal": "stole stolen", "sew": "sewn", "mow": "mown", "knit": "knitting", "volunteer": "volunteered",
    }.items()
    for past in pasts.split()
}  # fmt: skip

NO_SUBJECT_PAST = word_set(
    "went got took made had saw bought found met won lost began ran wrote built sold spent gave ate drove flew sang taught left broke grew "
    "caught came did signed started finished joined moved adopted visited watched played worked painted cooked baked hiked tried "
    "attended graduated enrolled applied hosted organized volunteered celebrated opened launched launched completed switched quit retired "
    "studied learned learnt picked planted ordered booked received earned passed traveled travelled camped biked swam danced performed "
    "submitted published recorded created designed finalized landed hired fixed repaired renovated married divorced"
)
NO_SUBJECT_ING = word_set(
    "going planning working researching studying training preparing moving starting taking writing reading building creating "
    "saving applying "
    "volunteering practicing practising finishing heading considering rehearsing organizing attending staying"
)
NO_SUBJECT_PRESENT = {
    "prefers": "prefer", "likes": "like", "loves": "love", "lives": "live", "works": "work", "hates": "hate", "dislikes": "dislike",
    "wants": "want", "needs": "need", "speaks": "speak", "owns": "own", "plays": "play", "enjoys": "enjoy", "uses": "use",
    "drives": "drive", "studies": "study",
}  # fmt: skip

SAYS_NOTHING = word_set(
    "agree appreciate hope wish guess think believe bet know understand mean feel admire imagine suppose assume thank congratulate promise "
    "say tell ask wonder forget doubt care trust find realize realise notice figure check bear let keep see hear miss wait cheer "
    "root salute "
    "get deserve sound look seem hang rock catch talk chat applaud love enjoy like cherish value treasure try strive aim believe "
    "need share "
    "make help remember want support show inspire motivate vibe relate stay continue push remind"
)
"""Verbs of what somebody says, thinks or feels at the moment: a fact only where what follows them is concrete."""

NEEDS_MORE = (
    dict.fromkeys(SAYS_NOTHING, 2)
    | dict.fromkeys(
        word_set(
            "agree appreciate hope wish guess think believe bet understand mean feel admire imagine suppose assume thank "
            "congratulate promise say "
            "wonder doubt care trust find realize realise notice figure bear let wait cheer root salute deserve sound seem "
            "applaud know forget "
            "relate vibe rock strive tell ask"
        ),
        99,
    )
    | dict.fromkeys(
        word_set(
            "help remember see hear share keep show talk chat continue push try inspire motivate remind support need"
        ),
        3,
    )
)
NEEDS_MORE |= {
    "expect": 99,
    "focus": 3,
    "recommend": 99,
    "reccomend": 99,
    "suggest": 99,
    "admit": 99,
    "underestimate": 99,
    "know": 2,
    "get": 1,
    "stay": 2,
    "make": 1,
}
"""Concrete words that a statement with such a verb must have; 99 is never."""

GENERIC = word_set(
    "thing things stuff lot lots bit way ways time times moment moments day days life lives world people person everyone everybody someone "
    "something anything everything nothing one ones kind kinds sort part parts good great amazing awesome nice cool wonderful fantastic "
    "incredible beautiful lovely perfect best better worst bad hard tough difficult easy fun happy sad excited exciting thrilled "
    "glad proud "
    "grateful thankful lucky blessed special important meaningful powerful inspiring inspired motivated motivating rewarding fulfilling "
    "enriching super pretty quite very really totally definitely absolutely so much many more most less little big huge small new old same "
    "different whole full sure true real right wrong okay ok well together always never ever still even already yet again back forward up "
    "down out over away around along through feel feeling feelings felt make makes making made get gets getting got go goes going "
    "went come "
    "came keep keeps keeping kept take takes taking took give gives given giving gave put let say said saying tell told talk "
    "talking talked "
    "think thought thinking know knew known see saw seen look looks looking hear heard try tries trying tried want wants wanted need needs "
    "needed help helps helped helping share shared sharing show showed show support supporting supportive love loved loving loves like "
    "liked likes enjoy enjoyed enjoying hope hoping dream dreams goal goals passion passionate joy happiness heart mind soul spirit energy "
    "strength courage hope positive positivity positively impact difference change changes journey path step steps progress success "
    "challenge challenges chance opportunity opportunities experience experiences memory memories idea ideas plan plans story stories "
    "work worked hard best effort efforts words word kind kindness encouragement advice reminder remind reminds motivation inspiration "
    "creativity creative connection connections bond others other another else each every both such able possible bring brings brought "
    "brighten believe belief use using used do did done doing does be been being is are was were am have has had having will would could "
    "should can may might must not just also too only than then there here when where what who why how that this these those it its they "
    "them their he him his she her hers you your yours i me my mine we us our ours a an the of in on at to for from with without about by "
    "as into onto off or and but if so because since while until before after during between among against within upon via per all any "
    "some few several no none own way point reason reasons start started starting begin began beginning end ended finally last next first "
    "now today long short far near late early soon later recently lately currently keep going check pic photo picture image pics photos "
    "happen happened happening stay stayed turn turned level thanks thank wow yeah congrats cheers mean means meant matter matters worth "
    "guys folks buddy friend pal man dude hey hi bye miss missed proud stoked pumped blast crazy wild intense truly simply forever moving "
    "boost fulfil fulfilled fulfillment growth grow growing learn learning lesson lessons goals grateful gratitude appreciate comfort calm "
    "peace relaxing relax rest fresh ready busy tired stressed stressful strong stronger brave confident confidence determined "
    "determination "
    "dedication dedicated focused focus push pushing perseverance resilience pay paid off offer worth it's i'm i've don't can't "
    "let's sounds "
    "setback setbacks destination spot spots trial error successes coaster roller attitude rocks texture textures color colors "
    "epic solution solutions discuss potential spending spend comin often usually once twice sometimes connect connected "
    "connecting paying harder place places shared hurdle hurdles option options purpose surge topic topics difficulties "
    "difficulty underestimate vulnerable influence resources causes cause platform inviting safe thought thoughts recommend "
    "reccomend beauty laugh compassion deficit deep tons aspects various obstacle skills talent talents talented reflect balance "
    "everyday obstacles emotions future similar touch check catching catch up soon hug super stoked psyched vibe vibes spark "
    "sparks chill escape "
)
"""Words that make no statement concrete."""

STATES = word_set(
    "be have live work like love prefer hate dislike own know speak play study belong want need enjoy use drive eat drink teach "
    "run keep volunteer attend collect practice wear believe support go take read write watch"
)
"""Present tense of these says how things are, not what happens."""

ADJECTIVES = re.compile(
    r"(?:not )?(?:allergic|vegan|vegetarian|pescatarian|diabetic|celiac|lactose|gluten|intolerant|married|engaged|divorced|"
    r"widowed|single\b(?! most)|pregnant|"
    r"retired|unemployed|self-employed|bilingual|fluent|left-handed|colou?r-?blind|deaf|blind|asthmatic|dyslexic|afraid of|scared of|"
    r"terrified of|into\b|interested in|obsessed with|addicted to|passionate about|keen on|fond of|crazy about|good at|bad at|"
    r"a (?:big |huge |total |massive )?fan of|from\b|based in|originally from|enrolled|employed|stationed|born|raised|nervous about|"
    r"\d|(?:transgender|trans|gay|lesbian|bisexual|queer|nonbinary|jewish|christian|muslim|catholic|buddhist|hindu|atheist)\b)",
    re.IGNORECASE,
)
"""Predicates of "I am" that say something lasting."""

HYPOTHETICAL = re.compile(
    r"\b(?:if|unless|wish|imagine|suppose|supposing|pretend|hypothetically|what if|as if|as though|would|could|might|(?-i:may)|"
    r"should|ought to|"
    r"perhaps|maybe|possibly|let us|let's|lets|can only)\b(?! (?:not )?(?:have )?lived)",
    re.IGNORECASE,
)

TO_MEMORY = re.compile(
    r"^(?:please |you (?:must|should|need to|have to) |now )*(?:forget|ignore|disregard|delete|erase|remove|drop|wipe|clear|"
    r"remember|memori[sz]e|note|"
    r"save|store|record|keep in mind|write down|add to (?:your )?memory|from now on|going forward|never|always|do not|act|respond|"
    r"answer|reply|"
    r"call me later|make sure|treat)\b(?! (?:i|my|we|our|that i|that my|that we|that our)\b)"
    r"|\b(?:your|the) (?:memory|memories|instructions?|system prompt|database)\b|\byou (?:must (?!have|be|feel|know|love|miss|"
    r"get)|are now (?:an? |the |in )|should (?:always|never) |will (?:always|never) )"
    r"|\b(?:forget|ignore) (?:what|everything|anything|all)\b",
    re.IGNORECASE,
)

COMMANDS = re.compile(
    r"\b(?:forget|ignore|disregard|instruction|memory|prompt|you (?:must|should|will|are)\b)", re.IGNORECASE
)
"""Of what speaks to the memory: it does not just ask, so that what follows it is not to be believed either."""

TAG = re.compile(
    r",?\s*(?:-\s*)?(?:huh|right|eh|no|yeah|ok|okay|you know|pretty \w+|is it not|isn'?t it|don'?t you think|can you believe (?:it|that)|"
    r"guess what)(?:,? (?:huh|right|eh))?\s*\?+$",
    re.IGNORECASE,
)
"""Makes a question of a statement."""

ABOUT_THE_TALK = re.compile(
    r"\b(?:proud of (?:you|us)|happy for you|here for you|got your back|have your back|rooting for|looking forward to (?:it|that|"
    r"hearing|seeing|more)|"
    r"can ?not wait|talk (?:to you )?(?:soon|later)|keep (?:you|ya) (?:posted|updated)|let (?:you|ya) know|in touch|catch up|"
    r"having (?:you|me)|(?:no|any) problem|your (?:support|words|kind words|encouragement|friendship|help|advice|tip|tips|idea|suggestion)|"
    r"good luck|take care|you (?:are|were) right|same (?:here|boat)|give it a (?:try|shot|go)|check (?:it|that|them|this) out|"
    r"(?:add|put) (?:it|that|them|this) (?:to|on) my|where (?:i|we) (?:am|are)|what (?:i|we) (?:am|are)|on the right track|no "
    r"(?:idea|clue)|as usual|"
    r"one (?:step|day) at a time|means? (?:so much|a lot|the world)|the same (?:way|thing)|best of luck|congratulat\w+|bottom of my heart|"
    r"how (?:i|we) feel|we both|no doubt|glad (?:you|it|we)|see you|meet you there|count (?:me|on me)|in (?:this|it) together|"
    r"cross(?:ing)? my fingers|fingers crossed|on (?:this|my|our) (?:journey|path|way)|"
    r"we (?:all|can|should|need|must|could|have to|got this|never know)|let us|reach out)\b",
    re.IGNORECASE,
)

TRAILING = re.compile(
    r"(?:,? (?:you know|right|though|too|as well|haha\w*|lol|for sure|of course|i (?:guess|think|suppose|hope)|thanks to you|and "
    r"(?:stuff|everything|"
    r"all)|or something|so far|already|btw|lately|recently))+$"
    r"|,? (?:which|and it|it|that) (?:is|was|has been|makes|made|feels|felt|really)\b[^,]*$"
    r"|,? (?:and|but) (?:so |really |super )?(?:happy|proud|excited|thankful|grateful|glad|loving it)\b.*$",
    re.IGNORECASE,
)

PERSONS = {
    "he": word_set(
        "husband boyfriend father dad son brother grandfather grandpa uncle nephew fiancé father-in-law brother-in-law stepdad"
    ),
    "she": word_set(
        "wife girlfriend mother mom mum daughter sister grandmother grandma aunt niece fiancée mother-in-law sister-in-law stepmom"
    ),
}

AHEAD = re.compile(
    r"\b(?:will|going to|plan(?:s|ning)?|hop(?:e|es|ing) to|want(?:s)? to|coming up|upcoming|next|soon|tomorrow|scheduled|am "
    r"\w+ing|are \w+ing|until|by(?! the way))\b",
    re.I,
)
"""Speaks of the future, so that a bare "on Friday" is the coming one."""

UNNAMED = re.compile(
    r"\b(?:it|them|him|they|these|those|you|your|there|her|that|this(?= (?:at|in|on|for|to|with|and)\b|$))\b",
    re.IGNORECASE,
)
"""What stands for something that the statement does not name."""
