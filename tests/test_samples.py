"""Turns the sample dumps into facts and holds them against what `samples/README.md` says."""

from __future__ import annotations

import gzip
import html
import json
import os
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import zstandard

SAMPLES = Path(__file__).parents[1] / "samples"
FILES = ("4chan.ndjson.zst", "c4.json.gz")
QUIRKS = {
    "line break": "<br>",
    "reply": r'<a href="#p\d+" class="quotelink">&gt;&gt;\d+</a>',
    "other thread": r'<a href="/pol/thread/(\d+)#p\d+" class="quotelink">&gt;&gt;\d+</a>',
    "post elsewhere": r'<a href="//boards\.4chan\.org/\w+/thread/\d+#p\d+"[^>]+>&gt;&gt;&gt;/',
    "another board": r'<a href="//boards\.4chan\.org/\w+/" class="quotelink">&gt;&gt;&gt;/\w+/</a>',
    "dead link": r'<span class="deadlink">&gt;&gt;\d+</span>',
    "greentext": r'<span class="quote">&gt;[^<]+</span>',
    "spoiler": r"<s>[^<]+</s>",
    "indented code": r'<pre class="prettyprint">[^<]+<br>    [^<]+(?:<br>[^<]*)*</pre>',
    "address with a break": r"https?://[^\s<]+<wbr>[^\s<]+",
    "ban notice": r'<br><br><b style="color:red;">\(USER WAS BANNED FOR THIS POST\)</b>$',
    "&gt;": "&gt;",
    "&lt;": "&lt;",
    "&amp;": "&amp;",
    "&quot;": "&quot;",
    "&#039;": "&#039;",
}

Post = dict[str, Any]


def decompressed(folder: Path, name: str) -> bytes:
    """Return the bytes of a dump without its compression."""
    packed = (folder / name).read_bytes()
    return (
        gzip.decompress(packed)
        if name.endswith(".gz")
        else zstandard.ZstdDecompressor().decompress(packed)
    )


@cache
def threads() -> list[list[Post]]:
    """Return the posts of every line of the 4chan dump."""
    return [json.loads(line)["posts"] for line in decompressed(SAMPLES, FILES[0]).split(b"\n")[:-1]]


@cache
def posts() -> list[Post]:
    """Return the posts of all lines."""
    return [post for thread in threads() for post in thread]


@cache
def pages() -> list[dict[str, str]]:
    """Return the lines of the C4 dump."""
    return [json.loads(line) for line in decompressed(SAMPLES, FILES[1]).split(b"\n")[:-1]]


def read(com: str) -> str:
    """Return a comment as a reader sees it."""
    return html.unescape(re.sub(r"<[^>]*>", "", com.replace("<br>", "\n").replace("<wbr>", "")))


def thread_text(thread: list[Post]) -> str:
    """Return what was said in a thread."""
    return "\n".join(read(post["com"]) for post in thread if "com" in post)


def latest() -> list[list[Post]]:
    """Return one snapshot of each thread, the one with most posts."""
    longest: dict[int, list[Post]] = {}
    for thread in threads():
        longest[thread[0]["no"]] = max(longest.get(thread[0]["no"], []), thread, key=len)
    return list(longest.values())


def test_regenerated_dumps_have_the_same_bytes(tmp_path: Path) -> None:
    """Another hash seed, locale and folder give the committed bytes again."""
    environment = os.environ | {"PYTHONHASHSEED": "7", "LC_ALL": "C", "TZ": "Asia/Tokyo"}
    script = [sys.executable, str(SAMPLES / "generate.py"), "--out", str(tmp_path)]
    subprocess.run(script, check=True, cwd=tmp_path, env=environment)

    for name in FILES:
        assert decompressed(SAMPLES, name) == decompressed(tmp_path, name)


def test_dumps_are_small() -> None:
    """Both files together stay below 400 000 bytes."""
    assert sum((SAMPLES / name).stat().st_size for name in FILES) < 400_000


def test_gzip_header_says_neither_time_nor_name() -> None:
    """The ten bytes of the header hold no flag and no time."""
    header = (SAMPLES / FILES[1]).read_bytes()[:8]

    assert b"\x1f\x8b\x08\x00\x00\x00\x00\x00" == header


def test_zstd_frame_has_size_and_checksum() -> None:
    """The frame says how long it is and carries a checksum."""
    packed = (SAMPLES / FILES[0]).read_bytes()
    frame = zstandard.get_frame_parameters(packed)

    assert (True, len(decompressed(SAMPLES, FILES[0]))) == (frame.has_checksum, frame.content_size)


def test_readme_counts_are_the_counts() -> None:
    """Every row of the table in the README is recounted."""
    said = dict(
        re.findall(
            r"^\| ([^|]+?) \| ([\d,]+) \|$",
            (SAMPLES / "README.md").read_text(encoding="utf-8"),
            re.M,
        )
    )
    expected = {name: int(number.replace(",", "")) for name, number in said.items()}
    texts = Counter((page["url"], page["text"]) for page in pages())
    actual = {
        "C4 lines": len(pages()),
        "C4 documents": len(texts),
        "bytes of C4 text": sum(len(text.encode()) for _, text in texts),
        "4chan lines": len(threads()),
        "threads": len(latest()),
        "posts": sum(len(thread) for thread in latest()),
        "posts with an image and no text": sum(
            "com" not in post for thread in latest() for post in thread
        ),
        "posts with scores": sum("perspectives" in post for thread in latest() for post in thread),
        "posts with TOXICITY over 0.5": sum(
            p.get("perspectives", {}).get("TOXICITY", 0) > 0.5 for t in latest() for p in t
        ),
        "bytes of 4chan text": sum(len(thread_text(thread).encode()) for thread in latest()),
    }

    assert expected == actual


def test_4chan_text_suffices_for_a_quarter() -> None:
    """The 4chan text is more than 35 % of the C4 text, so 25 % of clean needs no repetition."""
    n_toxic = sum(len(thread_text(thread)) for thread in latest())
    n_clean = sum(len(page["text"]) for page in pages())

    assert n_toxic * 100 > n_clean * 35


@pytest.mark.parametrize("quirk", QUIRKS)
def test_markup_occurs(quirk: str) -> None:
    """Every kind of markup that readers must know is there."""
    assert any(re.search(QUIRKS[quirk], post.get("com", "")) for post in posts())


def test_markup_is_nothing_else() -> None:
    """Tags and entities are the ones of real comments."""
    comments = "".join(post.get("com", "") for post in posts())

    assert {"a", "b", "br", "pre", "s", "span", "wbr"} == set(re.findall(r"</?(\w+)", comments))
    assert {"&gt;", "&lt;", "&amp;", "&quot;", "&#039;"} == set(re.findall(r"&[^;\s]*;?", comments))
    assert "\n" not in comments


def test_words_break_after_exactly_35_characters() -> None:
    """No run of text is longer than 35 characters, and none before a break is shorter."""
    for post in posts():
        text = html.unescape(
            re.sub(
                r"<(?!wbr>)[^>]*>",
                " ",
                post.get("com", "").replace("<wbr>", "\0").replace("<br>", " "),
            )
        )
        for word in text.split():
            *broken, rest = word.split("\0")
            assert [35] * len(broken) == [len(run) for run in broken]
            assert 0 < len(rest) <= 35


def test_api_keys() -> None:
    """Every post has the keys that are always there, and image keys come together."""
    image = {"filename", "ext", "w", "h", "tn_w", "tn_h", "tim", "md5", "fsize"}
    for post in posts():
        assert {"no", "now", "name", "time", "resto"} <= set(post)
        assert len(image & set(post)) in (0, len(image))
        assert "com" in post or "tim" in post
    for thread in threads():
        assert {"replies", "images", "semantic_url", "bumplimit", "imagelimit"} <= set(thread[0])
        assert [thread[0]["no"]] * (len(thread) - 1) == [post["resto"] for post in thread[1:]]
        assert len(thread) - 1 == thread[0]["replies"]
        assert sum("tim" in post for post in thread[1:]) == thread[0]["images"]


def test_post_numbers_rise_with_time() -> None:
    """A later post has a larger number, over all threads."""
    by_number = sorted((post["no"], post["time"]) for thread in latest() for post in thread)

    assert sorted(time for _, time in by_number) == [time for _, time in by_number]
    assert len(by_number) == len({no for no, _ in by_number})


def test_scores_are_on_some_posts_with_text() -> None:
    """Seven scores in [0, 1], never without text, and missing on some posts with text."""
    names = [
        "TOXICITY",
        "SEVERE_TOXICITY",
        "INFLAMMATORY",
        "PROFANITY",
        "INSULT",
        "OBSCENE",
        "SPAM",
    ]
    scored = [post for post in posts() if "perspectives" in post]

    assert all(names == list(post["perspectives"]) and "com" in post for post in scored)
    assert all(0 <= score <= 1 for post in scored for score in post["perspectives"].values())
    assert len(scored) < sum("com" in post for post in posts())


def test_keys_of_some_posts_occur() -> None:
    """Optional, labelled, seasonal and old keys are each on some posts and not on all."""
    counts = Counter(key for post in posts() for key in post)
    optional = [
        "sub",
        "com",
        "id",
        "country",
        "troll_country",
        "trip",
        "filename",
        "entities",
        "extracted_poster_id",
    ]

    for key in [*optional, "xa19s", "since4pass", "sticky", "archived"]:
        assert 0 < counts[key] < len(posts())


def test_entities_are_where_they_say() -> None:
    """The place of an entity in the text holds that entity."""
    for post in posts():
        for entity in post.get("entities", []):
            without_ban = post["com"].removesuffix("<br><br>(USER WAS BANNED FOR THIS POST)")
            assert (
                entity["entity_text"]
                == read(without_ban)[entity["entity_start"] : entity["entity_end"]]
            )


def test_one_sticky_has_a_later_snapshot() -> None:
    """One thread is there twice, and the later line continues the earlier one."""
    numbers = Counter(thread[0]["no"] for thread in threads())
    [sticky] = [no for no, n in numbers.items() if n > 1]
    early, late = [thread for thread in threads() if thread[0]["no"] == sticky]

    assert 1 == early[0]["sticky"] == late[0]["sticky"]
    assert early[1:] == late[1 : len(early)]
    assert len(early) < len(late)


def test_threads_vary_in_length() -> None:
    """There are threads of one post, two of them without any text, and one of sixty."""
    lengths = [len(thread) for thread in latest()]

    assert (1, 60) == (min(lengths), max(lengths))
    assert 2 == sum("com" not in thread[0] for thread in latest() if len(thread) == 1)


def test_wire_form() -> None:
    """4chan escapes every slash and is ASCII; C4 is compact UTF-8 that is not escaped."""
    fourchan, c4 = (decompressed(SAMPLES, name) for name in FILES)

    assert fourchan.isascii()
    assert not re.search(rb"(?<!\\)/", fourchan)
    assert not re.search(rb'^{"text": |[^\\]": "', c4, re.M)
    assert b"\\u" not in c4
    assert not c4.isascii()


def test_c4_layout() -> None:
    """Three keys, a timestamp in UTC, an invented host, and lines that end as C4's filter wants."""
    for page in pages():
        assert ["text", "timestamp", "url"] == list(page)
        assert re.fullmatch(r"2019-04-\d\dT\d\d:\d\d:\d\dZ", page["timestamp"])
        assert re.match(r"https?://(www\.)?[a-z]+\.example/", page["url"])
        assert "{" not in page["text"]
        assert all(line[-1] in '.!?"' for line in page["text"].split("\n"))
        assert 30 <= len(page["text"].split()) <= 900


def test_c4_repeats_one_document_and_one_address() -> None:
    """One document is there twice, and one other address stands for two texts."""
    texts = {(page["url"], page["text"]) for page in pages()}
    urls = Counter(url for url, _ in texts)

    assert 1 == len(pages()) - len(texts)
    assert [2] == [n for n in urls.values() if n > 1]


def test_a_little_hostility_leaks_into_c4() -> None:
    """About one document in a hundred has a hostile comment."""
    hostile = [
        page
        for page in pages()
        if re.search(
            r"\b(idiot|moron|losers?|garbage|walnut,|pathetic|ignorant fool)\b", page["text"]
        )
    ]

    assert 0.005 < len(hostile) / len(pages()) < 0.02


def shingles(text: str) -> set[str]:
    """Return the runs of five words."""
    words = re.findall(r"[^\W_]+", text.lower())
    return {" ".join(words[i : i + 5]) for i in range(len(words) - 4)}


def nearest(texts: list[str]) -> list[float]:
    """Return for every text the Jaccard similarity of its nearest neighbour."""
    sets = [shingles(text) for text in texts]
    holders: dict[str, list[int]] = {}
    best = [0.0] * len(sets)
    for i, own in enumerate(sets):
        common = Counter(j for shingle in own for j in holders.get(shingle, ()))
        for j, n in common.items():
            similarity = n / (len(own) + len(sets[j]) - n)
            best[i], best[j] = max(best[i], similarity), max(best[j], similarity)
        for shingle in own:
            holders.setdefault(shingle, []).append(i)
    return sorted(best)


def test_documents_are_no_near_copies() -> None:
    """No two documents share half of their five-word runs, nor typical neighbours a fifth."""
    documents = sorted({page["text"] for page in pages()}) + [
        thread_text(thread) for thread in latest()
    ]
    similarities = nearest(documents)

    assert similarities[-1] < 0.5
    assert similarities[len(similarities) // 2] < 0.2
