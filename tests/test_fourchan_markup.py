"""4chan markup: what each piece of it becomes, and that a real HTML parser agrees."""

import hashlib
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.readers import csvrows
from curate.readers.decompress import Stream
from curate.readers.fourchan import bbcode, markup
from tests.fourchan_oracle import text_of

QUOTELINK = '<a href="#p7" class="quotelink">&gt;&gt;7</a>'

EXIF = (
    'x<br><br><span class="abbr">[EXIF data available. Click here.]</span><br>'
    '<table class="exif" id="exif1"><tr><td>Camera</td><td>A1</td></tr></table>'
)
CASES = {
    "br": ("a<br>b<br><br>c", "a\nb\n\nc"),
    "wbr": ("https://long.exam<wbr>ple/x", "https://long.example/x"),
    "quotelink": (f"{QUOTELINK}<br>yes", ">>7\nyes"),
    "other thread": (
        '<a href="/g/thread/70#p71" class="quotelink">&gt;&gt;71</a> see',
        ">>71 see",
    ),
    "other board": (
        '<a href="//boards.4chan.org/g/" class="quotelink">&gt;&gt;&gt;/g/</a>',
        ">>>/g/",
    ),
    "greentext": ('<span class="quote">&gt;be me</span><br>so', ">be me\nso"),
    "nested": (f'<span class="quote">&gt;see {QUOTELINK} there</span>', ">see >>7 there"),
    "deadlink": ('<span class="deadlink">&gt;&gt;5</span> gone', ">>5 gone"),
    "spoiler": ("it was <s>the cat</s>", "it was the cat"),
    "code": ('<pre class="prettyprint">if x:<br>    y  = 1</pre>', "if x:\n    y  = 1"),
    "math": ("[math]x &lt; 1[/math]", "[math]x < 1[/math]"),
    "staff": (
        '<strong>Note</strong> <u>read</u> <span style="color:#f00">it</span>',
        "Note read it",
    ),
    "staff newline": ("a<br>\nb", "a\nb"),
    "moot": ('<div style="padding: 5px;border: 2px dashed">said</div>', "said"),
    "banned": ('x<br><br><b style="color:red;">(USER WAS BANNED FOR THIS POST)</b>', "x"),
    "banned strong": (
        'x<br><br><strong style="color: red;">(USER WAS WARNED FOR THIS POST)</strong>',
        "x",
    ),
    "banned typed": ("(USER WAS BANNED FOR THIS POST)", "(USER WAS BANNED FOR THIS POST)"),
    "exif": (EXIF, "x"),
    "cut notice": ('x<br><span class="abbr">Comment too long.</span>', "x"),
    "fortune": (
        'x<span class="fortune" style="color:#bac200"><br><br><b>Your fortune: Good</b></span>',
        "x",
    ),
    "oekaki": ("x<br><br><small><b>Oekaki Post</b> (Time: 1m, Painter: T)</small>", "x"),
    "entities": ("&gt;&lt;&quot;&#039;&amp;", "><\"'&"),
    "entities once": ("&amp;gt; &amp;amp;", "&gt; &amp;"),
    "tag typed": ("&lt;b&gt;bold&lt;/b&gt;", "<b>bold</b>"),
    "sjis": ('<span class="sjis">  (\u3000\u00b4)<br> /  \\</span>', "  (\u3000\u00b4)\n /  \\"),
    "unknown tags": ('<blink>a</blink><font color="red">b</font><img src="x">', "ab"),
    "comment": ("a<!-- hidden -->b", "ab"),
    "less than": ("1 < 2 and <3", "1 < 2 and <3"),
    "line separator": ("a\u2028b\u0085c", "a\u2028b\u0085c"),
    "outer line ends": ("<br><br>a<br>", "a"),
    "inner white space": ("  a  ", "  a  "),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("name", CASES)
def test_what_markup_becomes(name: str) -> None:
    """Each piece of markup becomes what the page says, alone and among others."""
    html, text = CASES[name]

    assert [text] == markup.to_text(pl.Series([html])).to_list()
    assert ["<", text, None] == markup.to_text(pl.Series(["&lt;", html, None])).to_list()


@pytest.mark.parametrize("name", [n for n in CASES if n not in ("less than", "staff newline")])
def test_a_parser_agrees_on_the_cases(name: str) -> None:
    """The oracle reads the cases as they are meant, so that it may judge the real posts."""
    html, text = CASES[name]

    assert text == text_of(html)


def real_posts(folder: Path) -> pl.Series:
    """Comments of all real posts: 17 CSV files and 3 files of threads."""
    found = []
    for path in sorted((folder / "csv").glob("*.zst")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        for records in csvrows.records_of(Stream(str(path), digest), csvrows.DOUBLED):
            table, bad = csvrows.table(records, 8, csvrows.DOUBLED)
            assert [] == bad
            found.append(table["2"].drop_nulls().rename("com"))
    for path in sorted((folder / "ndjson").glob("*.zst")):
        with zstandard.ZstdDecompressor().stream_reader(path.open("rb")) as file:
            posts = pl.read_ndjson(file.read()).explode("posts").unnest("posts")
        found.append(posts["com"].drop_nulls())
    return pl.concat(found)


def test_a_parser_agrees_on_every_real_post(shared: Path) -> None:
    """Of all real posts, none is read differently by an HTML parser."""
    html = real_posts(shared / "data" / "4chan-pol-2026")
    ours = markup.to_text(html).to_list()
    differing = [k for k, (h, t) in enumerate(zip(html, ours, strict=True)) if text_of(h) != t]

    assert len(html) > 190_000
    assert [] == differing[:5]


def test_markup_of_text_without_markup_is_itself(shared: Path) -> None:
    """Text that came out, written as HTML again, comes out the same: reading is idempotent."""
    html = real_posts(shared / "data" / "4chan-pol-2026").head(20_000)
    text = markup.to_text(html)
    plain = text.filter(~text.str.contains_any(["<", "&"]))

    assert plain.to_list() == markup.to_text(plain).to_list()


PIECES = st.sampled_from(
    [html for html, _ in CASES.values()]
    + ["<", ">", "&", "&amp;", "\x1a", "\n", " ", "é", "<b", "'"]
)


@given(st.lists(PIECES, max_size=6).map("".join))
def test_fast_and_thorough_agree(html: str) -> None:
    """The quick pass over usual comments gives what the slow one over any comment gives."""
    slow = markup.thorough(pl.Series([html])).str.strip_chars("\n")

    assert slow.to_list() == markup.to_text(pl.Series([html])).to_list()


@settings(max_examples=300)
@given(st.lists(st.sampled_from("ab \n<>&;\"'/=brspanwt123#"), max_size=60).map("".join))
def test_any_text_is_read(html: str) -> None:
    """Nonsense is read without an error, and what has no markup in it stays as it is."""
    (text,) = markup.to_text(pl.Series([html])).to_list()
    if "<" not in html and "&" not in html:
        assert html.strip("\n") == text


BBCODE = {
    "spoiler": ("it was [spoiler]the cat[/spoiler]", "it was the cat"),
    "code": ("[code]if x:\n    y[/code]", "if x:\n    y"),
    "literal": ("[spoiler:lit]x[/spoiler:lit]", "[spoiler]x[/spoiler]"),
    "math": ("[math]x[/math] [eqn]y[/eqn]", "[math]x[/math] [eqn]y[/eqn]"),
    "banned": ("x\n\n[banned](USER WAS BANNED FOR THIS POST)[/banned]", "x"),
    "fortune": ('x[fortune color="#bac200"]\n\nYour fortune: Good[/fortune]', "x"),
    "array": ("a[0] = [1, 2]", "a[0] = [1, 2]"),
    "unknown": ("[sic] [nope]", "[sic] [nope]"),
    "entity": ("&gt; stays, it was decoded before", "&gt; stays, it was decoded before"),
}


@pytest.mark.parametrize("name", BBCODE)
def test_what_bbcode_becomes(name: str) -> None:
    """Archives' tags in brackets become what the same tags in HTML become."""
    body, text = BBCODE[name]

    assert [text, None, "plain"] == bbcode.to_text(pl.Series([body, None, "plain"])).to_list()
