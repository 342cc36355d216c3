"""Turns talk into threads in the layout of "Raiders of the Lost Kek" (Zenodo 3606810).

That is the API's answer and three keys. Who posts when is planned first, so that post numbers rise
with time over all threads and a link can point to any earlier post.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from clock import eastern
from grammar import Book, Scribe
from markup import BAN, Line, escape, html, inline
from nearcopies import Shelf
from posts import Said, Talker, links_of, read_topics
from scores import entities, perspectives
from web import slug

N_THREADS = 208
LONGEST = 60
# 1 July 2019; the dump spans nine days.
START, SPAN = 1_561_939_200, 9 * 86_400
FIRST_NO = 217_104_311
NEAREST = 0.25
STICKY, BANNED = 3, 40
SILENT = (60, 140)
COUNTRIES = {
    "FI": "Finland", "PT": "Portugal", "NZ": "New Zealand", "CA": "Canada", "NL": "Netherlands",
    "IE": "Ireland", "JP": "Japan", "CL": "Chile", "EE": "Estonia", "IS": "Iceland",
    "UY": "Uruguay", "CH": "Switzerland",
}  # fmt: skip
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

Post = dict[str, Any]


@dataclass
class Outline:
    """When the posts of one thread were made, and under which numbers."""

    times: list[int]
    numbers: list[int] = field(default_factory=list)


def outlines(rng: Random) -> list[Outline]:
    """Return the times and numbers of all threads, 1 to 60 posts each."""
    plans = []
    for index in range(N_THREADS):
        n_posts = 1 + int(LONGEST * rng.random() * rng.random())
        n_posts = {STICKY: 48, SILENT[0]: 1, SILENT[1]: 1, BANNED: LONGEST}.get(index, n_posts)
        times = [START + SPAN * index // N_THREADS + rng.randrange(600)]
        for _ in range(n_posts - 1):
            times.append(times[-1] + rng.randrange(9, 90) * rng.randrange(1, 12))
        plans.append(Outline(times, [0] * n_posts))
    no = FIRST_NO
    moments = [(time, p, i) for p, plan in enumerate(plans) for i, time in enumerate(plan.times)]
    for _, p, i in sorted(moments):
        no += rng.randrange(1, 9)
        plans[p].numbers[i] = no
    return plans


def image(rng: Random, scribe: Scribe, time: int, opens: bool) -> Post:
    """Return the keys of an attached file; thumbnails fit 250 by 250, in replies 125 by 125."""
    width, height = rng.randrange(180, 2600), rng.randrange(180, 2200)
    longest, box = max(width, height), 250 if opens else 125
    digest = bytes(rng.randrange(256) for _ in range(16))
    return {
        "filename": scribe.write(rng.choice(scribe.book.sections["files"])),
        "ext": rng.choice([".jpg", ".jpg", ".png", ".png", ".gif", ".webm"]),
        "w": width, "h": height,
        "tn_w": max(1, width * box // longest), "tn_h": max(1, height * box // longest),
        "tim": time * 1000 + rng.randrange(1000), "md5": b64encode(digest).decode(),
        "fsize": rng.randrange(8_000, 2_900_000),
    }  # fmt: skip


def people(rng: Random, banter: Book, n_posts: int) -> list[Post]:
    """Return the posters of a thread: names, most with id and country, a few with tripcode."""
    posters = []
    for _ in range(max(1, n_posts // 2)):
        poster: Post = {"name": banter.sections["names"][0]}
        if rng.random() < 0.03:
            poster["name"] = rng.choice(banter.sections["tripnames"])
            poster["trip"] = "!" + "".join(rng.choice(LETTERS) for _ in range(10))
        if rng.random() < 0.9:
            poster["id"] = "".join(rng.choice(LETTERS) for _ in range(8))
        if rng.random() < 0.85:
            poster["country"] = rng.choice(sorted(COUNTRIES))
            poster["country_name"] = COUNTRIES[poster["country"]]
        elif rng.random() < 0.3:
            poster["troll_country"] = "BB"
            poster["country_name"] = "Bread Baker"
        posters.append(poster)
    return posters


def talk(
    rng: Random,
    talkers: list[Talker],
    plan: Outline,
    strangers: list[tuple[int, int]],
    temper: float,
) -> list[Said]:
    """Return what is said in a thread; a post that only shows a picture says nothing."""
    said = [talkers[0].opening()]
    for index in range(1, len(plan.numbers)):
        if rng.random() < 0.035:
            said.append(Said([], 0.0))
            continue
        # Half of the answers go to the first post, the others to a recent one.
        aims = (
            [0 if rng.random() < 0.4 else max(0, index - 1 - rng.randrange(6))]
            if rng.random() < 0.72
            else []
        )
        if aims and index > 4 and rng.random() < 0.06:
            aims.append(rng.randrange(index))
        links = links_of(rng, [plan.numbers[aim] for aim in dict.fromkeys(aims)], strangers)
        talker = talkers[0] if rng.random() < 0.7 else rng.choice(talkers)
        reply = talker.reply(temper, said[aims[0]] if aims else None, links)
        if links and rng.random() < 0.015:
            reply = Said([Line([piece]) for piece in links], 0.0)
        said.append(reply)
    return said


def thread(
    rng: Random, banter: Book, plan: Outline, said: list[Said], subject: str, banned: bool
) -> list[Post]:
    """Return the posts of a thread without the keys that only the first one has."""
    scribe = Scribe(banter, rng)
    posters = people(rng, banter, len(said))
    labelled = rng.random() < 0.92
    posts = []
    for index, (no, time, words) in enumerate(zip(plan.numbers, plan.times, said, strict=True)):
        poster = posters[0] if index == 0 else rng.choice(posters)
        post: Post = {
            "no": no,
            "now": eastern(time),
            **{k: poster[k] for k in ("name", "trip") if k in poster},
        }
        if index == 0 and subject:
            post["sub"] = escape(subject)
        if words.lines:
            post["com"] = html(words.lines)
        if index == 0 or not words.lines or rng.random() < 0.07:
            post |= image(rng, scribe, time, index == 0)
        post |= {"time": time, "resto": plan.numbers[0] if index else 0}
        post |= {
            k: poster[k] for k in ("id", "country", "troll_country", "country_name") if k in poster
        }
        if rng.random() < 0.02:
            post["since4pass"] = rng.randrange(2013, 2020)
        if rng.random() < 0.01:
            post["xa19s"] = rng.randrange(1, 9)
        if words.lines and labelled:
            if rng.random() < 0.58:
                post["perspectives"] = perspectives(rng, words.heat)
            if rng.random() < 0.4:
                post["entities"] = entities(words.text, banter.words)
        if "id" in poster and labelled:
            post["extracted_poster_id"] = poster["id"]
        posts.append(post)
    if banned:
        hot = max(range(1, len(said)), key=lambda i: said[i].heat)
        posts[hot]["com"] += BAN
    return posts


def finish(posts: list[Post], sticky: bool, archived_on: int) -> dict[str, list[Post]]:
    """Return the line of a thread, or of an earlier snapshot of it if `archived_on` is 0."""
    first, *replies = posts
    n_images = sum("tim" in post for post in replies)
    posters = {post.get("id", "") for post in posts}
    head: Post = {
        "bumplimit": int(len(replies) >= 50),
        "imagelimit": 0,
        "replies": len(replies),
        "images": n_images,
    }
    head["semantic_url"] = (
        slug(first.get("sub") or first.get("com", "picture").split("<")[0])[:50].strip("-")
        or "thread"
    )
    head["unique_ips"] = len(posters)
    if sticky:
        head |= {"sticky": 1, "closed": 1} if archived_on else {"sticky": 1}
    if archived_on:
        head |= {"archived": 1, "archived_on": archived_on}
    return {"posts": [first | head, *replies]}


def dump(material: Path, seed: int) -> list[dict[str, list[Post]]]:
    """Return the lines of the dump by first post, but the sticky's later snapshot last."""
    rng = Random(seed)
    banter, topics = read_topics(material)
    plans = outlines(rng)
    strangers = [(plan.numbers[0], no) for plan in plans for no in plan.numbers]
    shelf, lines = Shelf(), []
    for index, plan in enumerate(plans):
        names = rng.sample(sorted(topics), 1 + (len(plan.numbers) > 18) + (len(plan.numbers) > 36))
        temper = rng.choice([0.05, 0.12, 0.25, 0.35, 0.5, 0.7])
        while True:
            talkers = [Talker(topics[name], rng) for name in names]
            earlier = [pair for pair in strangers if pair[1] < plan.numbers[0]] or strangers[:1]
            said = talk(rng, talkers, plan, earlier, temper)
            if index == STICKY:
                rules = Scribe(banter, rng)
                said[0] = Said(
                    [inline(rules.write(rule)) for rule in banter.sections["sticky"]], 0.0
                )
            text = "\n".join(words.text for words in said)
            if shelf.nearest(text) <= NEAREST:
                break
        subject = talkers[0].say("subs") if rng.random() < 0.55 else ""
        if index in SILENT:
            said, subject = [Said([], 0.0)], ""
        else:
            shelf.add(text)
        posts = thread(rng, banter, plan, said, subject, index == BANNED)
        last = plan.times[-1] + rng.randrange(3_000, 90_000)
        if index == STICKY:
            lines.append(finish(posts[:17], sticky=True, archived_on=0))
        lines.append(finish(posts, sticky=index == STICKY, archived_on=last))
    # The later snapshot comes last, as in a crawl that goes on.
    lines.append(lines.pop(STICKY + 1))
    return lines
