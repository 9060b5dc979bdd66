#!/usr/bin/env python3
"""Checks what rustfmt leaves open: the width of comments and prose, the order of derives, the layout of imports, and
that links in Markdown point to files that exist. `--fix` wraps lines and reorders derives."""

import os, re, sys, textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SKIPPED = {".git", ".cache", ".run", "target", "dist", "node_modules", "corpus"}
WIDTH = 120
COMMENT = dict.fromkeys([".rs", ".go", ".java"], "//[/!]?") | dict.fromkeys([".sh", ".py", ".toml", ".yaml"], "#")
COMMENT[".md"] = ""
GROUP = {"std": 0, "core": 0, "alloc": 0, "crate": 2, "super": 2, "self": 2}
DERIVE = re.compile(r"#\[derive\(([^)]*)\)\]")
DERIVES = ["Clone", "Copy", "Debug", "Default", "PartialEq", "Eq", "PartialOrd", "Ord", "Hash"]
# A run of `use` items: nothing but empty lines between them. Re-exports (`pub use`) may stand where they like.
IMPORTS = re.compile(r"(?:^(?P<indent> *)use [^;]+;\n(?:\n(?= *use ))?)+", re.MULTILINE)


def files():
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(set(folders) - SKIPPED)
        yield from (Path(folder, name) for name in sorted(names) if Path(name).suffix in COMMENT)


def too_wide(path, lines):
    """Yields the index of each line that can be wrapped and is too long, with what stands in front of its text."""
    fenced = False
    for index, line in enumerate(lines):
        front = re.match(rf"(?:\s*{COMMENT[path.suffix]}\s*)?", line)[0]
        text = line[len(front):] if front or not COMMENT[path.suffix] else ""
        fenced ^= text.startswith("```")
        if len(line) > WIDTH and not fenced and not re.match(r"[|#]|\[[^]]+\]: ", text):
            hanging = " " * len(re.match(r"(?:(?:[-*+]|\d+\.) +)?", text)[0])
            if " " in text[len(hanging):]:  # a link cannot be wrapped
                yield index, front, hanging


def wrapped(lines, index, front, hanging):
    """The lines, with that at `index` and what follows it in its paragraph wrapped anew."""
    end, text = index + 1, [lines[index][len(front):]]
    while end < len(lines) and re.match(re.escape(front + hanging) + r"(?![-*+|#] |\d+\. |```|\||#)\S", lines[end]):
        text.append(lines[end][len(front + hanging):])
        end += 1
    whole = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", "\0"), " ".join(text))
    new = textwrap.wrap(whole, WIDTH, initial_indent=front, subsequent_indent=front + hanging,
                        break_long_words=False, break_on_hyphens=False)
    return lines[:index] + [line.replace("\0", " ") for line in new] + lines[end:]


def in_order(derives):
    """The derives of an attribute: those of the standard library as DERIVES has them, then others by their names."""
    names, last = [name.strip() for name in derives[1].split(",") if name.strip()], len(DERIVES)
    names.sort(key=lambda name: (DERIVES.index(name) if name in DERIVES else last, name.rpartition(":")[2]))
    return f"#[derive({', '.join(names)})]"


def rust(_, text):
    for derives in DERIVE.finditer(text):
        if re.sub(r"[,\s]", "", derives[0]) != re.sub(r"[,\s]", "", in_order(derives)):
            yield derives.start(), f"derives go in this order: {in_order(derives)}"
    for run in IMPORTS.finditer(text):
        roots = re.findall(r"^ *use (?:::)?(\w+)", run[0], re.MULTILINE)
        groups = [GROUP.get(root, 1) for root in roots]
        apart = [gap == "\n" for gap in re.findall(r";\n(\n?)(?= *use )", run[0])]
        if len(roots) != len(set(roots)):
            yield run.start(), "one crate in two imports: nest them, use a::{b, c}"
        elif groups != sorted(groups) or apart != [one != next for one, next in zip(groups, groups[1:])]:
            yield run.start(), "imports go std, external, crate, with an empty line between these groups alone"


def links(path, text):
    text = re.sub(r"```.*?```", lambda code: re.sub(".", " ", code[0]), text, flags=re.DOTALL)
    for link in re.finditer(r"\]\(([^)\s#]+)", text):
        if ":" not in link[1] and not (path.parent / link[1]).exists():
            yield link.start(), f"no such file: {link[1]}"


def problems(path, text):
    yield from ((index, f"over {WIDTH} characters") for index, _, _ in too_wide(path, text.split("\n")))
    check = {".md": links, ".rs": rust}.get(path.suffix, lambda *_: ())
    yield from ((text[:at].count("\n"), why) for at, why in check(path, text))


def fixed(path, text):
    lines = (DERIVE.sub(in_order, text) if path.suffix == ".rs" else text).split("\n")
    while (wide := next(too_wide(path, lines), None)) and (new := wrapped(lines, *wide)) != lines:
        lines = new
    return "\n".join(lines)


failed = False
for path in files():
    text = path.read_text()
    if "--fix" in sys.argv[1:] and fixed(path, text) != text:
        path.write_text(text := fixed(path, text))
    for line, what in problems(path, text):
        failed = print(f"{path.relative_to(ROOT)}:{line + 1}: {what}", file=sys.stderr) or True
sys.exit(failed)
