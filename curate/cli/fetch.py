"""Turn `curate fetch NAME` into the files of a public dump, after saying what that takes."""

import sys
from pathlib import Path

import click

from curate.cli import console
from curate.cli.options import json_option


@click.command()
@click.argument("name", required=False)
@click.option(
    "--files", "wanted", default="0", show_default=True, help="Which files: 0-9,20 or all."
)
@click.option(
    "--to",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("dumps"),
    show_default=True,
    help="Folder to put them in.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what it would take.")
@json_option
def command(
    name: str | None, wanted: str, folder: Path, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """
    Download the public dump NAME, or list those there are.

    Says how many bytes that takes, on the disk and on the way, and under which licence, before it
    does anything. A download that was interrupted goes on where it stopped; every file is checked
    against its host's own digest before it gets its name.

    \b
    curate fetch
    curate fetch c4 --files 0-9 --to dumps --yes
    """
    from curate.errors import UsageError
    from curate.readers import public

    if name is None:
        listing = [
            {"name": n, "n_files": d.n_files, "license": d.license, "about": d.about}
            for n, d in public.DUMPS.items()
        ]
        lines = [f"{i['name']:<16} {i['n_files']:>5,} files  {i['about']}" for i in listing]
        console.emit({"dumps": listing}, as_json=as_json, text="\n".join(lines))
        return
    if name not in public.DUMPS:
        raise UsageError(
            f"there is no dump named {name}", hint=f"There are: {', '.join(public.DUMPS)}."
        )
    dump = public.DUMPS[name]
    every = f"0-{dump.n_files - 1}"
    found = public.listed(dump, public.numbers(every if wanted == "all" else wanted, dump.n_files))
    missing = [file for file in found if not public.is_here(file, folder)]
    n_bytes = sum(file.n_bytes for file in missing)
    free = public.room(folder)
    plan = {
        "name": name,
        "n_files": len(found),
        "n_missing": len(missing),
        "n_bytes": n_bytes,
        "n_bytes_free": free,
        "license": dump.license,
        "to": str(folder),
    }
    said = (
        f"{dump.about}\n"
        f"{len(missing):,} of {len(found):,} files to fetch, {n_bytes:,} bytes, to {folder} "
        f"({free:,} bytes free)\nlicence: {dump.license}"
    )
    if dry_run:
        console.emit(plan, as_json=as_json, text=said)
        return
    console.note(said)
    if n_bytes > free:
        raise UsageError(
            f"{name} does not fit: {n_bytes:,} bytes needed, {free:,} free in {folder}",
            hint="Name another folder with --to, or fewer files with --files.",
        )
    if missing and not yes:
        if not sys.stdin.isatty():
            raise UsageError("nobody to ask whether to go on", hint="Add --yes.")
        click.confirm("Go on?", abort=True, err=True)
    with console.bar(f"fetch {name}", n_bytes, "B") as advance:
        paths = [
            public.fetch(file, folder, advance=advance if file in missing else lambda n: None)
            for file in found
        ]
    pattern = ", ".join(f'"{path}"' for path in paths[:3]) + (", …" if len(paths) > 3 else "")
    console.emit(
        {**plan, "files": [str(path) for path in paths]},
        as_json=as_json,
        text=(
            f"{len(paths):,} files in {folder}. In a recipe:\n"
            f'  [source.{name}]\n  reader  = "{dump.reader}"\n  files   = [{pattern}]\n'
            f'  license = "{dump.license}"'
        ),
    )
