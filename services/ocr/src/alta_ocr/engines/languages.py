"""Which languages the local engine can read from a picture, as far as their letters tell.

The bundled model knows Latin letters, Chinese and Japanese; others come out as Latin letters that look alike.
"""

_READ_SCRIPTS = {"latn", "hans", "hant", "hani", "jpan", "hira", "kana", "hrkt"}
"""ISO 15924's codes, as BCP 47 has them: `sr-Latn`."""

_OTHER_LETTERS = {
    # But for Serbian, Uzbek and others that are written in either.
    "Cyrillic": "ab av ba be bg ce cu cv kk kv ky mk mn os ru rue sah tg tt udm uk",
    "Greek, Hebrew, Arabic, Thaana": "el grc he iw yi ji ar ary arz ckb dv fa ks ps sd ug ur",
    "Indic": "as bho bn bo doi dz gu hi kn kok mai ml mni mr ne new or pa pi sa sat si ta te",
    "the Caucasus, Ethiopia, South-East Asia, Korea": "am hy ka km ko lo my shn th ti",
    "Latin, but with accents that the model has not got": "vi",
}


def can_be_read(language: str) -> bool:
    """Say whether text in a language (a BCP 47 tag) is written in letters that the model knows."""
    primary, *subtags = language.lower().split("-")
    for subtag in subtags:
        if len(subtag) == 1:
            break  # extensions and private use: no script any more
        if len(subtag) == 4 and subtag.isalpha():  # noqa: PLR2004  # a script's length (RFC 5646, 2.2.3)
            return subtag in _READ_SCRIPTS
    return not any(primary in languages.split() for languages in _OTHER_LETTERS.values())
