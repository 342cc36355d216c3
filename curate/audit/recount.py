"""
Turn a mix into findings about everything its manifest says that its own files can answer.

Counts, laws, sidecars, ids and texts are each the matter of one module; this one opens what they
need, shares the shards out to threads and says what could not be asked.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from curate.audit import counts, decode, dropped, laws, sidecars, texts, tiling, where
from curate.audit.findings import Finding, Outcome, Progress
from curate.audit.left_out import holdout_of
from curate.audit.opened import COLUMNS, SPANS, Opened, collected
from curate.errors import IntegrityError

if TYPE_CHECKING:
    import polars as pl

ALWAYS_ENCODED = 100
"""Documents that a recount encodes again: another list of merges changes most of them."""

MAY_BE_NULL = ("timestamp", "url", "registered_domain", "board", "thread", "license", "language")


def check(
    mix: Opened,
    semantic: bool,
    tokenizer_is_whole: bool,
    retokenize: int | None,
    seed: int,
    threads: int,
    progress: Progress,
) -> Outcome:
    """Recount (if `semantic`) and encode `retokenize` documents again (None: all; 0: none)."""
    audit = Outcome()
    try:
        spans = load_spans(mix)
    except IntegrityError as error:
        what = "; ".join([error.message, *error.details])
        audit.findings.append(Finding("spans", SPANS, "", what))
        audit.not_checked.append(f"the manifest's numbers: {SPANS} cannot be read")
        return audit
    vocabulary = None
    if tokenizer_is_whole and (mix.folder / "tokenizer.json").is_file():
        vocabulary = _vocabulary(mix, audit)
    if semantic:
        _recount(mix, spans, vocabulary, threads, progress, audit)
        retokenize = ALWAYS_ENCODED if retokenize == 0 else retokenize
    _encode_again(mix, spans, vocabulary, retokenize, seed, audit)
    return audit


def load_spans(mix: Opened) -> "pl.DataFrame":
    """All rows of spans.parquet; IntegrityError unless they can be worked with (§5.3)."""
    spans = collected(mix.spans())
    empty = [n for n in COLUMNS if n not in MAY_BE_NULL and spans[n].null_count()]
    if empty:
        raise IntegrityError(f"{SPANS} has nulls", details=[f"in {', '.join(empty)}"])
    for name in ("key", "digest", "content", "group"):
        if (spans[name].bin.size() != 16).any():
            raise IntegrityError(f"{SPANS} has a {name} that is not of 16 bytes")
    if not spans["shard"].is_sorted():
        raise IntegrityError(f"{SPANS} is not in order of shards")
    if spans.height and int(spans["shard"][-1]) >= len(mix.shards):
        raise IntegrityError(f"{SPANS} names a shard that the manifest does not have")
    return spans


def _vocabulary(mix: Opened, audit: Outcome) -> decode.Vocabulary | None:
    """The tokenizer beside the mix, compared with what the manifest says of it."""
    try:
        vocabulary = decode.read(mix.folder / "tokenizer.json")
    except IntegrityError as error:
        audit.findings.append(Finding("tokenizer", "tokenizer.json", "", error.message))
        return None
    said = mix.content["tokenizer"]
    pairs = [("n_vocab", said["n_vocab"], vocabulary.n_ids)]
    pairs += [
        (f"{name}.id", said[name]["id"], vocabulary.ids.get(said[name]["token"], -1))
        for name in ("eos", "bos")
        if name in said
    ]
    for name, value, found in pairs:
        if value != found:
            what = f"the manifest says {value:,}, the tokenizer {found:,}"
            audit.findings.append(Finding("tokenizer", "tokenizer.json", name, what))
    return vocabulary


def _recount(
    mix: Opened,
    spans: "pl.DataFrame",
    vocabulary: decode.Vocabulary | None,
    threads: int,
    progress: Progress,
    audit: Outcome,
) -> None:
    audit.findings += counts.check(mix, spans)
    audit.findings += laws.check(mix, spans)
    _clauses(mix, spans, audit)
    _holdout(mix, spans, audit)
    if dropped.has(mix):
        audit.findings += dropped.check(mix, spans)
        audit.checked.append(f"{dropped.DROPPED}: its counts are the manifest's")
    edges = [spans["shard"].search_sorted(n) for n in range(len(mix.shards) + 1)]
    decodes = vocabulary is not None and vocabulary.byte_level

    def one(number: int) -> tuple[list[Finding], texts.Texts]:
        rows = spans[edges[number] : edges[number + 1]]
        found, own = list(sidecars.check(mix, number, rows)), texts.Texts()
        try:
            found += tiling.check(mix, number, rows, edges[number])
            if vocabulary is not None and decodes:
                own = texts.check(mix, number, rows, edges[number], vocabulary)
        except IntegrityError as error:
            file = f"shards/{mix.shards[number]['name']}.npy"
            found.append(Finding("shard", file, "", error.message))
        return found, own

    total = texts.Texts()
    with (
        progress("recounting", mix.content["n_tokens"] * mix.width) as advance,
        ThreadPoolExecutor(threads) as pool,
    ):
        results = pool.map(one, range(len(mix.shards)))
        for shard, (found, own) in zip(mix.shards, results, strict=True):
            audit.findings += found
            total.add(own)
            advance(shard["n_tokens"] * mix.width)
    audit.findings += total.findings
    broken = sum(finding.kind == "span" for finding in audit.findings)
    audit.whole.append(f"{spans.height - broken:,} of {spans.height:,} spans hold their own ids")
    audit.checked += [
        "numbers: every count, share and digest of content, from shards and spans",
        "laws: rank, order, deviation, cut, overlap, clauses over tags",
        "sidecars: derived again from the spans",
    ]
    if decodes:
        audit.checked.append(f"texts: {total.render()}")
    else:
        audit.not_checked.append("whether ids are the documents' texts: no byte-level tokenizer")
    audit.not_checked.append(
        "estimates, what was read and left out, whole lengths of what was cut: not in these files"
    )


def _clauses(mix: Opened, spans: "pl.DataFrame", audit: Outcome) -> None:
    """Every document of a component satisfies the component's `where`."""
    import polars as pl

    for name, facts in sorted(mix.origin["components"].items()):
        clause = facts.get("where", "")
        mine = spans.with_row_index("row").filter(pl.col("component") == name)
        if not clause or not mine.height:
            continue
        unread = where.unreadable(clause, spans.columns)
        audit.not_checked += [f"{text!r} of component {name}: not over tags" for text in unread]
        if clause in unread:
            continue
        # A piece's row has the piece's bytes, and the document's everything else.
        piece = texts.pieces(mine)
        for text, found in where.breaches(clause, mine):
            rows = [row for row in found if not (piece[row] and "n_bytes" in text)]
            if not rows:
                continue
            what = f"{len(rows):,} spans of component {name} do not satisfy {text!r}"
            audit.findings.append(Finding("where", SPANS, f"row {mine['row'][rows[0]]}", what))


def _holdout(mix: Opened, spans: "pl.DataFrame", audit: Outcome) -> None:
    """No thread or URL is both held out and mixed."""
    if not any(source["n_held_out"] for source in mix.origin["sources"].values()):
        return
    other = holdout_of(mix)
    if other is None:
        if not mix.is_holdout:
            audit.not_checked.append("whether what was held out is out: no hold-out beside the mix")
        return
    held = collected(other.spans().select("group").unique())
    both = spans.select("group", "id").join(held, on="group", how="semi")
    if both.height:
        what = f"{both.height:,} spans are of threads or URLs that {other.title} holds out"
        audit.findings.append(Finding("holdout", SPANS, f"id {both['id'][0]}", what))
    audit.checked.append(f"hold-out: no thread or URL of {other.title} is mixed")


def _encode_again(
    mix: Opened,
    spans: "pl.DataFrame",
    vocabulary: decode.Vocabulary | None,
    wanted: int | None,
    seed: int,
    audit: Outcome,
) -> None:
    if vocabulary is None or not vocabulary.byte_level:
        audit.not_checked.append("whether the tokenizer gives these ids: no byte-level tokenizer")
        return
    try:
        n, found = texts.retokenize(mix, spans, vocabulary, wanted, seed)
    except IntegrityError as error:
        audit.not_checked.append(f"whether the tokenizer gives these ids: {error.message}")
        return
    audit.findings += found
    audit.checked.append(f"tokenizer: {n:,} documents encoded again")
    if wanted is not None:
        audit.not_checked.append("whether the tokenizer gives the other ids (--retokenize all)")
