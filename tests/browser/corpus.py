"""What the annotators of the browser tests are shown: three languages, an emoji before a slot, one wrong intent."""

from __future__ import annotations

from plugin.records import Vocabulary
from tests.browser.pool import Heard

VOCABULARY = Vocabulary(
    domains=("audio", "music", "weather"),
    intents=("music_likeness", "music_play", "music_query", "volume_down", "volume_up", "weather_query"),
    slots=("artist", "date", "song"),
    intent_domains={
        "music_likeness": "music",
        "music_play": "music",
        "music_query": "music",
        "volume_down": "audio",
        "volume_up": "audio",
        "weather_query": "weather",
    },
)

# No music in it: the emoji stand before a song that the assistant has missed.
RIGHT = Heard(
    "play summertime by ella fitzgerald", "music_play", [("song", "summertime"), ("artist", "ella fitzgerald")]
)
WRONG = Heard("🎉🎶 who wrote blue train", "music_play", nlu_score=0.41)
NOISE = Heard("mm hm uh", "music_query", nlu_score=0.33)
URDU = Heard("راحت فتح علی خان کا گانا چلاؤ", "music_play", [("artist", "راحت فتح علی خان")])
THAI = Heard("เปิดเพลงของบอดี้สแลมวันนี้", "music_play", [("date", "วันนี้")])
UNMARKED_URDU = Heard(URDU.text, "music_play")
UNMARKED_THAI = Heard(THAI.text, "music_play")
