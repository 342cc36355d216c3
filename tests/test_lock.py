"""A lock names every input by its digest and refuses what is not the locked one."""

import os
from pathlib import Path

import pytest

from curate import lock
from curate.errors import IntegrityError, RecipeError, UsageError

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # sha256 of "hello"

TOKENIZER = {"file": "builtin:demo", "sha256": HELLO, "n_vocab": 10, "eos_id": 3, "probe": [1, 3]}


def made(*inputs: lock.Input) -> lock.Lock:
    return lock.Lock(
        inputs=inputs,
        tokenizer=TOKENIZER,
        models=({"tagger": "toxicity", "file": "builtin:toxicity", "sha256": HELLO},),
        resolved={"c4: toxicity: top 5 % of tokens": "0.5"},
    )


def test_a_lock_survives_its_file(tmp_path: Path) -> None:
    """Writing and loading gives the same lock, whatever the names hold."""
    odd = 'dumps/"quoted" \\ and é.gz'
    written = made(lock.Input("c4", odd, HELLO, 5))
    lock.path_of(tmp_path / "a.toml").write_text(written.to_toml(), "utf-8")

    assert written == lock.load(tmp_path / "a.toml")


def test_no_lock_is_none(tmp_path: Path) -> None:
    """A recipe without a lock has none."""
    assert lock.load(tmp_path / "a.toml") is None


def test_a_lock_of_another_format_is_refused() -> None:
    """A later format is not guessed at."""
    with pytest.raises(UsageError, match="curate-lock/9"):
        lock.parse('format = "curate-lock/9"\n[tokenizer]\n')


def test_a_broken_lock_says_how_to_go_on(tmp_path: Path) -> None:
    """A file that is not TOML is an error with a way out."""
    (tmp_path / "a.lock").write_text("[[[")
    with pytest.raises(UsageError) as caught:
        lock.load(tmp_path / "a.toml")

    assert "Delete it and run: curate lock a.toml" == caught.value.hint


def test_patterns_expand_sorted_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Overlapping patterns give every file once, by name."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.gz", "a.gz", "c.txt"):
        Path(name).touch()
    os.mkdir("d.gz")

    assert ["a.gz", "b.gz"] == lock.expand("c4", ["*.gz", "b.*"])


def test_a_pattern_without_a_match_is_an_error() -> None:
    """A misspelt pattern is never an empty source."""
    with pytest.raises(RecipeError, match=r"\[source\.c4\] files: nothing matches 'nowhere/\*'"):
        lock.expand("c4", ["nowhere/*"])


def test_resolve_gives_digest_and_length(tmp_path: Path) -> None:
    """An input is known by the sha256 of its bytes."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"hello")

    assert lock.Input("c4", str(path), HELLO, 5) == lock.resolve("c4", str(path))


def test_memory_sees_a_changed_file(tmp_path: Path) -> None:
    """A file with another modification time is hashed again."""
    memory = lock.Memory(tmp_path / "inputs.json")
    path = tmp_path / "a.txt"
    path.write_bytes(b"hullo")
    memory.sha256_of(path)
    path.write_bytes(b"hello")
    os.utime(path, ns=(1, 1))
    memory.save()

    assert HELLO == memory.sha256_of(path)
    assert HELLO == lock.Memory(tmp_path / "inputs.json").sha256_of(path)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((), "c4: a.gz is in the lock but no longer found"),
        (
            (lock.Input("c4", "a.gz", HELLO, 5), lock.Input("c4", "b.gz", HELLO, 5)),
            "c4: b.gz is not in the lock",
        ),
        (
            (lock.Input("c4", "a.gz", "00" * 32, 6),),
            "c4: a.gz is 000000000000… (6 bytes), locked 2cf24dba5fb0… (5 bytes)",
        ),
    ],
)
def test_other_inputs_are_refused(found: tuple[lock.Input, ...], said: str) -> None:
    """Missing, new and changed inputs are each named."""
    with pytest.raises(IntegrityError) as caught:
        lock.check(made(lock.Input("c4", "a.gz", HELLO, 5)), made(*found), recipe=Path("a.toml"))

    assert [said] == caught.value.details


def test_another_tokenizer_is_refused() -> None:
    """A tokenizer that gives other probe ids is not the locked one."""
    other = lock.Lock(inputs=(), tokenizer={**TOKENIZER, "probe": [2, 3]}, models=made().models)
    with pytest.raises(IntegrityError) as caught:
        lock.check(made(), other, recipe=Path("a.toml"))

    assert ["tokenizer: probe is [2, 3], locked [1, 3]"] == caught.value.details


def test_another_model_is_refused() -> None:
    """A tagger's model with another digest is not the locked one."""
    models = ({"tagger": "toxicity", "file": "builtin:toxicity", "sha256": "00"},)
    with pytest.raises(IntegrityError) as caught:
        lock.check(made(), lock.Lock((), TOKENIZER, models, made().resolved), recipe=Path("a.toml"))

    assert caught.value.details[0].startswith("tagger toxicity: sha256 is 00, locked 2cf24dba")


def test_urls_lose_their_credentials() -> None:
    """User, password and query of a URL are never written down."""
    assert "s3://bucket/a/b.gz" == lock.without_credentials("s3://me:secret@bucket/a/b.gz?sig=x")
