"""A page of the viewer in a browser, in the user's words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PATIENCE_S = 90  # for a machine that is busy with something else
TIMES = "0:400:80"


class Session:
    """A page of the viewer, in the user's words."""

    def __init__(self, page: Any) -> None:
        self.page = page

    def get(self, name: str) -> Any:
        return self.page.evaluate("name => window.trame.state.get(name)", name)

    def set(self, **values: Any) -> None:
        for name, value in values.items():
            self.page.evaluate("([name, value]) => window.trame.state.set(name, value)", [name, value])

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + PATIENCE_S
        while not (found := condition()):
            assert time.monotonic() < end, f"{what} did not come; error: {self.get('error')!r}"
            self.page.wait_for_timeout(100)
        return found

    @contextmanager
    def sized(self, width: int, height: int) -> Iterator[None]:
        """The page in a window of this size, in CSS pixels; afterwards it is as before, whatever a test found."""
        before = self.page.viewport_size
        self.page.set_viewport_size({"width": width, "height": height})
        try:
            yield
        finally:
            self.page.set_viewport_size(before)

    def press(self, key: str, condition: Callable[[], Any]) -> None:
        """Presses a key until it is taken: what is just opening takes none."""

        def pressed() -> Any:
            self.page.keyboard.press(key)
            self.page.wait_for_timeout(300)
            return condition()

        self.wait(pressed, f"what {key} does")

    def show(self, time_s: float) -> None:
        """Moves the slider, and waits until its image was made."""
        self.page.evaluate(
            """time => { const slider = document.querySelector(".time-slider"); slider.value = time;
                         slider.dispatchEvent(new Event("input", { bubbles: true })); }""",
            time_s,
        )
        canvas = self.page.locator(".layout-grid-item canvas").first  # without a time until its first picture is there
        self.wait(lambda: float(canvas.get_attribute("data-time") or "nan") == time_s, f"t = {time_s} s")

    def stroke(self, corners: list[tuple[float, float]], view: int = 0) -> None:
        """Drags over a view as fast as a hand does; corners are shares of its width and height."""
        box = self.page.locator(".layout-grid-item").nth(view).bounding_box()
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
        mouse = self.page.mouse
        mouse.move(*points[0])
        self.page.wait_for_timeout(400)
        mouse.down()
        for point in points:
            self.page.wait_for_timeout(150)
            mouse.move(*point, steps=8)
        self.page.wait_for_timeout(150)
        mouse.up()

    def synthesize(self, **settings: Any) -> None:
        self.set(preset="list", times_text=TIMES, **settings)
        self.page.click(".synthesize")
        self.wait(lambda: not self.get("busy") and self.get("synthetic"), "the synthesis")

    def classes(self) -> list[str]:
        return [one.get("type", "") for one in self.get("regions")]

    def picture(self) -> bytes:
        return self.page.locator(".layout-grid-item").first.screenshot()
