#!/usr/bin/env python3
"""Builds the documentation as a static site with search. Usage: build.py ROOT OUT [--check]

ROOT is the repository, OUT a folder of this script. README.md is the first page. The order of the others is that of
README.md's table of documents, whose course has the order of its own table. A link to a file outside docs/ becomes a link
to a copy of that file in the site. Fails where a link leads nowhere, or where the table lacks a page of docs/. Needs MkDocs
with its theme Material (Debian: mkdocs-material); with --check it only looks at links and tables.
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

LINK = re.compile(r"\]\(([^)#\s]*)(#[^)\s]*)?\)")
ROW = re.compile(r"^\| \[[^\]]*\]\(([^)#]+\.md)\)", re.MULTILINE)


def title_of(page):
    """The heading, without what stands behind a colon: the navigation is narrow."""
    heading = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE).group(1)
    return heading if heading.startswith("Lesson") else heading.split(":")[0]


def anchors_of(page):
    """The names of the headings, as MkDocs and code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


def place_in_site(path):
    """Where a file of the repository is in the site: docs/ at the top, README.md as its first page, others in source/."""
    if path == Path("README.md"):
        return Path("index.md")
    return Path(*path.parts[1:]) if path.parts[0] == "docs" else Path("source") / path


class Site:
    def __init__(self, root, pages):
        self.root, self.pages = root, pages
        self.queue, self.seen, self.missing = [], set(), []

    def add(self, path):
        if path not in self.seen:
            self.seen.add(path)
            self.queue.append(path)

    def link(self, page, match):
        target, anchor = match.group(1), match.group(2) or ""
        if re.match(r"[a-z]+:", target):
            return match.group(0)
        path = Path(os.path.normpath(page.parent / target)) if target else page
        if (self.root / path).is_dir():
            path = path / "README.md"
        if not (self.root / path).is_file() or path.parts[0] == "..":
            self.missing.append(f"{page}: {target} is not there")
            return match.group(0)
        if anchor and path.suffix == ".md" and anchor[1:] not in anchors_of(self.root / path):
            self.missing.append(f"{page}: {target}{anchor}: there is no such heading")
        self.add(path)
        return f"]({os.path.relpath(place_in_site(path), place_in_site(page).parent) if target else ''}{anchor})"

    def copy_all(self):
        while self.queue:
            path = self.queue.pop()
            out = self.pages / place_in_site(path)
            out.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".md":
                text = (self.root / path).read_text(encoding="utf-8")
                out.write_text(LINK.sub(lambda m: self.link(path, m), text), encoding="utf-8")
            else:
                shutil.copyfile(self.root / path, out)


def rows_of(root, page):
    """The pages that the tables of a page list, in their order."""
    text = (root / page).read_text(encoding="utf-8")
    paths = [Path(os.path.normpath(page.parent / target)) for target in ROW.findall(text)]
    return [path for path in paths if (root / path).is_file()]


def navigation(root):
    """Lines of mkdocs.yml, and the pages that they name."""
    lines, listed = ["nav:", "  - kdef: index.md"], {Path("README.md")}
    for path in rows_of(root, Path("README.md")):
        listed.add(path)
        lessons = rows_of(root, path) if path.name == "README.md" else []
        indent = "  "
        if lessons:
            lines.append(f'  - "{title_of(root / path)}":')
            indent = "      "
        for page in [path] + lessons:
            listed.add(page)
            title = "Contents" if lessons and page == path else title_of(root / page)
            lines.append(f'{indent}- "{title}": {place_in_site(page)}')
    return lines, listed


def main():
    root, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    pages = out / "pages"
    for folder in (pages, out / "html"):
        shutil.rmtree(folder, ignore_errors=True)
    pages.mkdir(parents=True)
    shutil.copyfile(Path(__file__).with_name("extra.css"), pages / "extra.css")
    lines, listed = navigation(root)
    site = Site(root, pages)
    for page in listed:
        site.add(page)
    site.copy_all()
    documents = {path.relative_to(root) for path in (root / "docs").rglob("*.md")}
    problems = site.missing + [f"README.md: its table does not list {path}" for path in sorted(documents - listed)]
    if problems:
        sys.exit("\n".join(problems))
    if "--check" in sys.argv[3:]:
        return
    settings = ["site_name: kdef", f"docs_dir: {pages}", f"site_dir: {out / 'html'}", "use_directory_urls: false",
                "theme: {name: material, font: false, palette: [{media: '(prefers-color-scheme: light)', scheme: default},"
                " {media: '(prefers-color-scheme: dark)', scheme: slate}], features: [navigation.footer, toc.follow]}",
                "plugins: [search]", "extra_css: [extra.css]", "markdown_extensions: [sane_lists]"]
    (out / "mkdocs.yml").write_text("\n".join(settings + lines) + "\n", encoding="utf-8")
    subprocess.run(["mkdocs", "build", "--strict", "--quiet", "-f", str(out / "mkdocs.yml")], check=True)


if __name__ == "__main__":
    main()
