"""What stands in for the names of a real household: Home Assistant's templates leave these lists to the user.

A language that is not here, or lacks a list, takes the English one, as people who name their devices in
English do. Nouns are combined with every modifier of their list.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _combined(modifiers: str, nouns: str) -> tuple[str, ...]:
    return tuple(f"{modifier} {noun}" for modifier, noun in product(_words(modifiers), _words(nouns)))


_ENGLISH: Mapping[str, tuple[str, ...]] = {
    "area": _words(
        "kitchen, living room, bedroom, bathroom, hallway, garage, office, attic, basement, dining room, nursery,"
        "guest room, laundry room, garden, patio, balcony, porch, library, studio, gym, pantry, workshop, cellar,"
        "kids room, master bedroom, guest bathroom, front yard, back yard, driveway, conservatory, den, utility room,"
        "walk in closet, home theater, playroom, sauna, shed, entrance, staircase, roof terrace, carport, anna's room"
    ),
    "floor": _words(
        "first, second, third, ground, upper, lower, top, main, bottom, upstairs, downstairs, mezzanine"
    ),
    "name.light": _combined(
        "bedside, desk, floor, reading, corner, ceiling, fairy, string, window, bar, mirror, porch, lava, piano, star",
        "lamp, light, spots",
    )
    + _words("chandelier, nightlight, led strip, the big bulb, mood lighting, christmas tree, hue go, downlights"),
    "name.fan": _combined("ceiling, tower, desk, window, box, attic, bathroom, extractor", "fan, ventilator")
    + _words("dyson, air mover, breeze maker, exhaust, big blower"),
    "name.switch": _combined("coffee, bread, tea, rice, ice cream, popcorn", "machine, maker")
    + _words(
        "fish tank pump, space heater, electric blanket, printer, router, washing machine, dryer, dishwasher, kettle,"
        "toaster, sprinkler, fountain, heat mat, dehumidifier, air purifier, smart plug, extension cord, server rack,"
        "plug three, wall outlet, charger, soldering iron, aquarium, slow cooker, towel rail, doorbell chime"
    ),
    "name.input_boolean": _words("guest mode, vacation mode, night mode, party mode, do not disturb, quiet hours"),
    "name.media_player": _combined("samsung, lg, old, kitchen, bedroom, big", "tv, television, speaker, screen")
    + _words(
        "sonos, apple tv, chromecast, soundbar, record player, radio, stereo, nest hub, roku, projector, playstation"
    ),
    "name.cover": _combined("left, right, east, west, big, small, rear", "blind, curtain, shutter, window shade")
    + _words("garage door, skylight, awning, roller blind, barn gate, velux, pergola roof, blackout drapes"),
    "name.valve": _words(
        "garden hose, main water valve, gas valve, irrigation, pool valve, drip line, radiator valve"
    ),
    "name.lock": _combined("front, back, side, cellar, garage, patio", "door, entrance")
    + _words("gun safe, bike shed, mailbox, wine cabinet, medicine chest, august lock"),
    "name.climate": _words(
        "thermostat, nest, ecobee, air conditioner, heat pump, radiator, floor heating, mini split, boiler, ac unit"
    ),
    "name.vacuum": _words("roomba, roborock, robot vacuum, dusty, sweeper, mister clean, robby, deebot"),
    "name.lawn_mower": _words("lawn mower, mower, husqvarna, lawnbot, shaun the sheep, automower, grass cutter"),
    "name.todo": _words("chores, work, holiday, school, renovation, birthday, packing, errands, reading, wedding"),
    "name.weather": _words("london, nairobi, reykjavik, cardiff, berlin, home, new york, mumbai, tokyo, the coast"),
    "name.person": _words("anna, ben, carla, david, emma, farah, george, hannah, ivan, juma, kate, liam, mum, dad"),
    "name.scene": _words("movie night, good morning, romantic, dinner, sunset, relax, bright, focus, wake up"),
    "name.script": _words("bedtime routine, leave home, welcome home, morning briefing, panic, feed the cat"),
    "name.button": _words("restart, garage opener, doorbell test, reset filter, coffee now"),
    "name.sensor": _combined("outdoor, freezer, pool, attic, rain, cellar", "temperature, humidity, sensor")
    + _words("power meter, air quality, water level, co2, wind speed, uv index, gas usage, electricity price"),
    "name.binary_sensor": _words(
        "smoke detector, motion detector, leak detector, mailbox sensor, phone battery, fridge door, bed occupancy,"
        "freezer alarm, doorbell, gas alarm, window contact, presence detector, washer vibration, baby cam"
    ),
    "name": _words("gadget, device one, main unit, helper, widget, tracker, old phone, tablet, spare unit"),
    "message": _words(
        "dinner is ready, time to go to school, i will be late tonight, please come downstairs, the taxi is here,"
        "bedtime in ten minutes, the movie starts now, who took my keys, happy birthday anna, lunch in five,"
        "wash your hands, grandma is calling, we leave at eight, the dog needs a walk, bring in the laundry"
    ),
    "search_query": _words(
        "abba, pink floyd, the beatles, miriam makeba, some jazz, bohemian rhapsody, frozen, star wars, lo fi beats,"
        "the news, classical piano, taylor swift, sauti sol, bjork, rain sounds, breaking bad, workout mix,"
        "harry potter, beethoven, a podcast about space, old school hip hop, christmas carols, peppa pig, radio four"
    ),
    "zone": _words("work, school, home, the gym, grandma's house, the office, the beach, town"),
    "timer_name": _words(
        "pizza, egg, tea, laundry, pasta, nap, workout, bread, homework, parking, rice, cake"
    ),
    "timer_command": _words(
        "turn off the lights, open the garage door, lock the front door, play some jazz, stop the music,"
        "turn on the heater, close the curtains, start the dishwasher, switch off the tv, dim the lamp"
    ),
    "item": _combined("fresh, frozen, organic, cheap", "peas, bread, fish, berries, chicken, spinach")
    + _words(
        "milk, eggs, butter, bananas, coffee, two apples, toilet paper, dog food, rice, olive oil, batteries, tomatoes,"
        "call the dentist, pay the rent, water the plants, buy a gift, fix the sink, book flights, renew passport,"
        "clean the oven, return the library books, walk the dog, onions, chocolate, light bulbs, sugar, tea bags"
    ),
}  # fmt: skip

_SWAHILI: Mapping[str, tuple[str, ...]] = {
    "area": _combined(
        "chumba cha, sehemu ya, upande wa, karibu na",
        "kulala, chakula, wageni, watoto, mama, baba, kazi, kusoma, mapumziko, juma, asha, neema, bibi, babu",
    )
    + _words(
        "jikoni, sebuleni, bafuni, bustani, gereji, ofisi, barabarani, ghala, veranda, choo, ukumbi, roshani, darini,"
        "ua wa nyuma, ua wa mbele, chumbani, maktaba, ghorofani, mlangoni, kibarazani, stoo, karakana, bwawani"
    ),
    "floor": _words("chini, juu, kwanza, pili, tatu"),
    "name": _words("taa ya mezani, feni kubwa, redio, televisheni, taa ya dari, pazia, mlango wa mbele, jiko"),
}

_WELSH: Mapping[str, tuple[str, ...]] = {
    "area": _words(
        "cegin, ystafell fyw, ystafell wely, ystafell ymolchi, cyntedd, garej, swyddfa, atig, seler, gardd, patio,"
        "ystafell fwyta, meithrinfa, llyfrgell, stiwdio, campfa, pantri, gweithdy, balconi, landin, ystafell haul"
    ),
    "floor": _words("cyntaf, ail, trydydd, gwaelod, uchaf, lan lofft, lawr grisiau"),
    "name.light": _combined("lamp, golau", "desg, gwely, llawr, ffenest, nenfwd, cornel, darllen, drych"),
    "name.cover": _combined("llen, bleind", "chwith, dde, mawr, bach, gegin") + _words("drws garej, caead"),
    "name.media_player": _words("teledu, radio, seinydd, sgrin fawr, bar sain, peiriant recordiau"),
    "name.switch": _words("tegell, tostiwr, peiriant coffi, peiriant golchi, gwresogydd, ffynnon, argraffydd"),
    "name.person": _words("rhys, carys, dylan, megan, owain, sian, mam, dad, nain, taid"),
    "name.weather": _words("caerdydd, abertawe, bangor, aberystwyth, llundain"),
}

# Without the article: the templates add its endings.
_ICELANDIC: Mapping[str, tuple[str, ...]] = {
    "area": _words(
        "eldhús, stofu, svefnherbergi, baðherbergi, gang, bílskúr, skrifstofu, ris, kjallara, garð, borðstofu,"
        "barnaherbergi, gestaherbergi, þvottahús, geymslu, sólstofu, svalir, bókasafn, verkstæði, forstofu"
    ),
    "floor": _words("fyrstu, aðra, þriðju, neðri, efri, jarð"),
    "name.light": _combined("gamla, nýja, litla, stóra", "lampa, leslampa, ljós, borðlampa, loftljós, náttljós"),
    "name.cover": _words("gardínu, bílskúrshurð, rúllugardínu, þakglugga, gluggatjöld, hlera"),
    "name.media_player": _words("sjónvarp, útvarp, hátalara, skjá, plötuspilara, hljómtæki"),
    "name.switch": _words("kaffivél, ofn, þvottavél, ketil, brauðrist, prentara, uppþvottavél, gosbrunn"),
    "name.person": _words("anna, jón, sigrún, ólafur, björk, mamma, pabbi, amma, afi"),
    "name.weather": _words("reykjavík, akureyri, ísafirði, selfossi, húsavík"),
}

_BY_LANGUAGE: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "en": _ENGLISH,
    "sw": _SWAHILI,
    "cy": _WELSH,
    "is": _ICELANDIC,
}


def values(language: str, list_name: str, domain: str) -> tuple[str, ...]:
    """The values of a template's list; `name` depends on the domain, for a lamp is a light and never a lock."""
    key = "item" if list_name.endswith("_item") else list_name
    for own in (_BY_LANGUAGE.get(language.split("-")[0], {}), _ENGLISH):
        for name in (f"{key}.{domain}", key):
            if name in own:
                return own[name]
    return ()
