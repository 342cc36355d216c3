"""A second reading of 4chan markup: a real HTML parser and a walk over its tree."""

from selectolax.lexbor import LexborHTMLParser, LexborNode


def text_of(html: str) -> str:
    """Text of a comment, by the rules of the page docs on markup, one node at a time."""
    body = LexborHTMLParser(f"<body><div id=root>{html}</div>").css_first("#root")
    pieces: list[str] = []
    _walk(body, pieces)
    return "".join(pieces).strip("\n")


def _walk(node: LexborNode, pieces: list[str]) -> None:
    child = node.first_child
    while child is not None:
        if child.tag == "-text":
            pieces.append(child.text_content or "")
        elif child.tag == "br":
            pieces.append("\n")
        elif not _is_notice(child):
            _walk(child, pieces)
        child = child.next


def _is_notice(node: LexborNode) -> bool:
    kind = node.attributes.get("class") or ""
    style = (node.attributes.get("style") or "").replace(" ", "").rstrip(";")
    words = node.text(deep=True)
    return (
        (node.tag == "span" and kind in ("abbr", "fortune", "capcodeReplies"))
        or (node.tag == "table" and kind == "exif")
        or (node.tag in ("b", "strong") and style == "color:red" and words.startswith("(USER "))
        or (node.tag == "small" and "Oekaki Post" in words)
    )
