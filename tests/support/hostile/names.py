"""File names that a client may send with an upload."""

from __future__ import annotations

from tests.support.hostile.drawing import MARK

_MARK = MARK.decode()
_TEXTS = (
    # paths
    "../../../../etc/passwd.jpg", "..\\..\\windows\\win.ini.jpg", "/etc/passwd", "....//....//a.jpg",
    "%2e%2e%2fa.jpg", "%252e%252e%252fa.jpg", "a//b.jpg", "photos/", "~/.ssh/id.jpg", "C:\\a.jpg",
    "\\\\server\\share\\a.jpg", "file:///etc/hostname", "s3://bucket/key.jpg", ".git/config",
    # names with a meaning for a server, a shell or a system
    "a.jpg.php", "a.php%00.jpg", "a%00.jpg", "a\0b.jpg", "a.html", ".htaccess", "web.config", "-rf.jpg",
    "|id.jpg", "`id`.jpg", "$(id).jpg", "a;id.jpg", "a&b.jpg", "*.jpg", "nul", "CON.jpg", "aux.png",
    "a.jpg:stream", "a.jpg::$DATA", "index.html.jpg", "favicon.ico",
    # empty or nearly empty, or long
    "", " ", ".", "..", "...", "noextension", ".jpg", "a.jpg ", "a.jpg.", "a.JpEg", "a" * 255 + ".jpg",
    "é" * 200 + ".jpg", "." * 300, "a" * 4000 + ".jpg",
    # markup, queries, templates, headers
    f'"><img src=x onerror={_MARK}()>.jpg', f"'><script>alert('{_MARK}')</script>.jpg", f"<b>{_MARK}</b>.jpg",
    f"javascript:{_MARK}().jpg", "${7*7}.jpg", "{{7*7}}.jpg", "<%= 7*7 %>.jpg", 'a" OR "1"="1.jpg',
    "a'; DROP TABLE images; --.jpg", "@SUM(1+1).jpg", "=1+1.jpg", 'a"; filename="b.html', "a?x=1#frag.jpg",
    f"a\r\nContent-Type: text/html\r\n\r\n<b>{_MARK}.jpg", f"a\r\nSet-Cookie: a={_MARK}.jpg", "a\nb.jpg",
    "a\tb.jpg", "%s%s%n.jpg", "&lt;b&gt;.jpg",
    # Unicode
    "\u202egpj.exe", "\ufeffa.jpg", "кот.jpg", "猫.jpg", "🐈.jpg", "e\u0301.jpg", "é.jpg", "\u200bb.jpg",
    "a\u2028b.jpg", "İ.jpg", "\ud7ff.jpg", "\U0010ffff.jpg", "a\x07.jpg", "\x1b[31mred.jpg", "a\x7f.jpg",
)  # fmt: skip

NAMES: tuple[bytes, ...] = tuple(text.encode() for text in _TEXTS)
