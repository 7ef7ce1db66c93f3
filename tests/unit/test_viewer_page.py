"""The files of the page: libraries as published, nothing inline, nothing from elsewhere."""

import hashlib
import re

import pytest

from tests.helpers.paths import ROOT

PAGE = ROOT / "src" / "icefront" / "viewer" / "page"
VENDOR = PAGE / "vendor"
MODULES = sorted(PAGE.glob("*.js"))


def test_libraries_are_as_published():
    stated = dict(line.split()[::-1] for line in (VENDOR / "SHA256SUMS").read_text().splitlines())
    files = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.rglob("*")
        if path.is_file() and path.name not in ("SHA256SUMS", "README.md")
    }
    assert files == stated


def test_every_library_has_its_licence():
    named = re.findall(r"`([\w-]+)` \d", (VENDOR / "README.md").read_text())
    assert {"ol", "proj4", "rbush", "earcut", "pbf"} <= set(named)
    for name in named:
        text = (VENDOR / "licences" / f"{name}.txt").read_text()
        assert "Copyright" in text
        assert "AS IS" in text


def test_nothing_in_the_page_is_inline_or_from_elsewhere():
    text = (PAGE / "index.html").read_text("utf-8")
    assert "<style" not in text
    assert not re.search(r"\s(style|on\w+)=", text)
    assert not re.findall(r"<script(?![^>]*\ssrc=)", text)
    for address in re.findall(r'(?:src|href)="([^"]*)"', text):
        assert address.startswith(("{{assets}}/", "#"))
        if address.startswith("{{assets}}/"):
            assert (PAGE / address.removeprefix("{{assets}}/")).is_file()
    assert "url(" not in (PAGE / "page.css").read_text("utf-8")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_modules_put_text_in_as_text_and_name_no_other_machine(path):
    text = path.read_text("utf-8")
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                      "new Function", 'setAttribute("style"'):  # fmt: skip
        assert forbidden not in text
    assert set(re.findall(r"https?://[^\"'` ]+", text)) <= {"http://www.w3.org/2000/svg"}
    for name in re.findall(r'from "\./([\w.]+)"', text):
        assert PAGE / name in MODULES


def test_every_element_that_a_module_asks_for_is_in_the_page():
    there = set(re.findall(r'\sid="([\w-]+)"', (PAGE / "index.html").read_text("utf-8")))
    asked = {
        name for path in MODULES for name in re.findall(r'byId\("([\w-]+)"\)', path.read_text())
    }
    assert asked <= there


def test_every_field_and_button_of_the_page_has_a_name_for_readers_of_screens():
    text = (PAGE / "index.html").read_text("utf-8")
    for tag, attributes, content in re.findall(
        r"<(button)\b([^>]*)>(.*?)</button>", text, re.DOTALL
    ):
        shown = re.sub(r"<svg.*?</svg>|<[^>]*>", "", content, flags=re.DOTALL).strip()
        filled = "person" in attributes  # by the name of the person
        assert shown or "aria-label=" in attributes or filled, (tag, attributes)
    labelled = set(re.findall(r'<label[^>]*\sfor="([\w-]+)"', text))
    for attributes in re.findall(r"<(?:input|select|textarea)\b([^>]*)>", text):
        (name,) = re.findall(r'\sid="([\w-]+)"', f" {attributes}")
        inside = re.search(rf'<label class="check"><input[^>]*id="{name}"', text)
        assert name in labelled or "aria-label=" in attributes or inside, attributes
