"""The wording that instructions to a model share, as patterns for one sentence.

Written for what such a sentence must say to work: that what came before does not count, that a model is meant, or what its reply is to
look like. A bare task ("write a poem about the sea") says none of this and is no match: it is an ordinary sentence of an e-mail too.
Sources: Greshake et al., arXiv:2302.12173 (indirect injection); Yi et al., arXiv:2312.14197 (BIPIA); Liu et al., arXiv:2310.12815.
"""

from __future__ import annotations

import re

_MODEL = r"(?:(?:ai )?(?:assistant|chat ?bot|language model|model|agent|system)|ai|llm)"
_INSTRUCTIONS = (
    r"(?:instructions?|prompts?|rules?|guidelines?|guardrails?|restrictions?|directions?|directives?|context)"
)
_NOT = r"(?<![a-z])(?<!not )(?<!n['’]t )"
_DROP = rf"{_NOT}(?:ignore|disregard|forget|override|bypass)"
_ANSWER = r"(?:answers?|responses?|outputs?)"
_REPLY = rf"(?:repl(?:y|ies)|{_ANSWER})"
_WHICH = r"(?:(?:final|next|own|entire|whole|full|first|generated) )?"
_YOUR_ANSWER = rf"\byour {_WHICH}{_ANSWER}\b"
_YOUR_REPLY = rf"\byour {_WHICH}{_REPLY}\b"
_SECRETS = r"(?:(?:all|every|the) (?:\w+ )?(?:salaries|passwords?|secrets?|credentials|api keys?))"
_TALK = r"(?:conversation|chat (?:history|log)s?|(?:previous|earlier) messages|system prompt|passwords?|credentials|api keys?)"
_SPELLING = (  # of words, which no business mail asks for
    r"(?:letters?|vowels?|consonants?|spaces|punctuation|typos?|misspell(?:ed|ings?)?|anagram(?:s|med)?|ciphers?|substitution|morse"
    r"|base ?(?:16|32|64)|hexadecimal|binary|rot ?13|emojis?|backwards?|reverse(?:d)?(?: order)?|pig latin|leet ?speak|alphanumeric"
    r"|(?:every|each) (?:second|third|fourth|fifth|other) \w+|symbols)"
)


def _compiled(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE | re.DOTALL) for pattern in patterns)


OPENING = _compiled(
    # Overrides what came before.
    rf"{_DROP}.{{0,40}}\b(?:previous|prior|above|earlier|preceding|your|system)\b.{{0,30}}\b{_INSTRUCTIONS}\b",
    rf"{_NOT}(?:ignore|disregard|forget|bypass) (?:all|any|every)(?: of)?(?: the| these| other)? {_INSTRUCTIONS}\b",
    rf"^\W*(?:ignore|disregard|forget) the {_INSTRUCTIONS}(?: above| below)?\W*$",
    rf"{_DROP} (?:everything|anything|all|what(?:ever)?)\b.{{0,30}}\b(?:above|before|previously|prior|earlier|so far|told|said|instructed)\b",
    r"\b(?:strictly (?:adhere to|follow)|adhere to|obey)\b.{0,20}\b(?:following|new) (?:instruction|command|order|directive)s?\b",
    r"\byour (?:new|actual|real) (?:task|instructions?|directive) (?:is|are)\b|^\W*new (?:task|instructions?|system prompt)\s*:",
    r"\binstead of (?:answering|summari[sz]ing|translating) (?:the|this|that|any|my|it)\b",
    r"\b(?:ignorier\w*|vergiss|vergessen sie|missachte\w*|ignore[zr]|oublie[zr]?|ignor[ae]|olvid[ae]|dimentica|esque[çc]a)\b.{0,30}"
    r"\b(?:vorherigen?|obigen?|bisherigen?|vorangegangenen?|alle|pr[ée]c[ée]dente?s?|toutes|anterior(?:es|i)?|todas|precedenti|tutte)\b"
    r".{0,30}\b(?:anweisungen|anordnungen|instruktionen|vorgaben|befehle|instructions|consignes|instrucciones|istruzioni|instruções)\b",
    r"(?:忽略|无视|忘记|忘掉).{0,10}(?:之前|以上|上面|前面|所有|先前).{0,10}(?:指令|指示|提示|说明|内容)",
    r"(?:игнорируй\w*|забудь\w*).{0,30}(?:предыдущ|прежн|вс[её]|выше).{0,30}(?:инструкц|указани|команд)",
    # Plays a role of the chat protocol, or gives the reader one.
    r"^\W*(?-i:SYSTEM|DEVELOPER|ASSISTANT|INSTRUCTIONS?)\s*:",
    r"^\W*(?:system|developer|assistant|ai|llm)\s+(?:override|prompt|message|instructions?|note)\s*:",
    r"\bsystem (?:override|prompt)\b|\bsystem message\s*:",
    r"<\|?(?:im_start|im_end|system|endoftext)\|?>|\[/?INST\]|<<SYS>>|^\W*</?(?:system|assistant|important|instructions?)>",
    rf"\b(?:you are now|from now on,? you|pretend to be)\b.{{0,60}}\b(?:{_MODEL}|mode|unrestricted|procurement|admin\w*)\b",
    r"(?:^\W*|[,;:] |\byou (?:will |must |should |shall |are to )?|\bplease |\bnow )act as (?:an? |the |my )?(?:\w+ )?"
    r"(?:ai|assistant|chat ?bot|language model|unrestricted|admin\w*|procurement)\b",
    # Speaks to the model by name.
    rf"\b(?:note|message|instructions?|attention|dear)\W{{0,3}}\s*(?:to|for)?\s*(?:the|any|all|every)?\s*(?:{_MODEL})s?\b\s*[:,.]",
    r"^\W*(?:hey|hi|hello|attention|ok|okay),? (?:ai|llm|chat ?gpt|gpt|copilot|(?:ai )?assistant|chat ?bot)\s*[,:!]",
    r"\bif you are an? (?:ai|llm|language model|chat ?bot|(?:ai )?assistant|(?:ai|automated) (?:agent|system))\b",
    r"\bas an? (?:ai|llm|large language model|language model|ai assistant|chat ?bot)\b.{0,20}\byou\b",
    r"\b(?:when|if|while|before) (?:you )?(?:summari[sz]e|summari[sz]ing|process|processing|index|indexing) (?:this|the) "
    r"(?:document|page|e-?mail|text|file|website|content|message|article|ticket|cv|resume)\b",
    r"\bdo not (?:tell|inform|mention (?:this|it) to|reveal this to)\b.{0,20}\b(?:user|reader|human|person)\b",
    # Wants something out.
    rf"(?<!not )(?<!the )\b(?:reveal|print|repeat|output|leak|disclose)\b.{{0,30}}"
    rf"\b(?:system prompt|(?:your|hidden|these) (?:instructions|prompt|rules)|{_SECRETS})\b",
    rf"\b(?:send|forward|e-?mail|upload|post|transmit)\b.{{0,40}}\b{_TALK}\b.{{0,40}}(?:https?://|\S@\S)",
    rf"\b(?:append|add|insert|include|encode|put|attach|replace)\b.{{0,60}}\b{_TALK}\b.{{0,60}}\b(?:url|link|query (?:string|parameter)|image)\b",
    r"\b(?:decode|decrypt|decipher|unscramble)\b.{0,60}\b(?:follow|execute|obey|carry out|comply|perform)\b",
)
"""What such a sentence brings in may go on behind it, to the end of its paragraph."""

DICTATING = _compiled(
    rf"\b(?:begin|start|end|finish|close|prefix|conclude)\b.{{0,20}}\b(?:your|every|each)\b.{{0,12}}\b{_REPLY}\b",
    rf"\b(?:in|into|to|at the end of) (?:every|each|all) (?:of )?(?:your )?{_REPLY}\b|\bat the end of your {_REPLY}\b",
    rf"\b(?:include|append|add|insert|put|mention|repeat|say|link)\b.{{0,150}}\b(?:in|into|to|within|throughout) {_YOUR_ANSWER}",
    rf"\b(?:integrate|incorporate|weave|infuse|inject|work|slip|embed|augment|append)\b.{{0,150}}\b(?:in|into|to|within|throughout) {_YOUR_REPLY}",
    rf"\b(?:suggest|advertise|promote|persuade|claim|endorse|praise|convince)\b.{{0,150}}\b(?:in|within|throughout) {_YOUR_REPLY}",
    rf"\badd (?:[\"“'‘]|an? (?:\w+ )?(?:sentence|link|statement|tip|recommendation|appeal|reason|advertisement)\b).{{0,150}}\bto {_YOUR_REPLY}",
    rf"\b(?:modify|enhance|augment|enrich|embellish|supplement|infuse) {_YOUR_REPLY} (?:to|by|with)\b",
    rf"^\W*in {_YOUR_REPLY},? "
    r"(?:suggest|tease|promote|advertise|recommend|hint|invite|encourage|urge|persuade|claim|insist|pretend|mention|link|praise)\b",
    rf"{_YOUR_REPLY}.{{0,60}}\b{_SPELLING}\b|\b{_SPELLING}\b.{{0,60}}{_YOUR_REPLY}",
    rf"\b{_SPELLING} (?:of|in|from|within) (?:the words (?:of|in) |words (?:of|in) )?your (?:\w+ )?message\b",
    rf"\b(?:encode|encrypt|encipher|render|translate|misspell|scramble|obfuscate) {_YOUR_REPLY}",
    r"\b(?:encode|encrypt|render|write|express) your (?:\w+ )?message (?:in|with|using|as)\b.{0,30}"
    r"\b(?:cipher|substitution|base ?\d\d|morse|emojis?)\b",
    r"\b(?:respond|reply|answer) (?:only|just|solely|exclusively) with (?:the (?:word|phrase|sentence)\b|[\"“'‘])",
)
"""What such a sentence wants of the reply it says itself."""

AHEAD = re.compile(
    r":\W{0,5}$|\b(?:this|these|the (?:following|next)|below) ?(?:sentences?|text|words?|lines?)?\b", re.IGNORECASE
)
"""A dictating sentence that points at what comes next, so that it too is brought in by it."""

SLOT = re.compile(
    r"(?:!\[[^\[\]\n]{0,200}\]\(|<img\b[^<>\n]{0,300}?\bsrc\s*=)[^<\n]{0,400}?"
    r"[=/&?](?:\{[^{}\n]{1,80}\}|\[[^\[\]\n]{2,80}\]|<[^<>\n]{2,80}>|%7B|\$\{?[A-Z_]{3}|(?:YOUR|INSERT|REPLACE|ENCODED)_)",
    re.IGNORECASE,
)
"""An image whose address has a place left open for data: whoever fills it in and shows it has sent them."""
