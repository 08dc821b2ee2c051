"""The views of a session: drawn here, shown in the browser, in one of several layouts."""

from __future__ import annotations

from functools import partial
from typing import Any

from trame_client.ui.core import AbstractLayout
from trame_server import Server
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.views import AbstractView, Layout, LayoutDirection, SliceView, ViewLayoutDefinition
from vtkmodules.vtkCommonCore import vtkCommand, vtkObject

from CEKWorldLib.scene.view_caption import ViewCaption
from CEKWorldLib.web.picture_stream import PictureStream
from CEKWorldLib.web.view_factory import DescribeView, ViewFactory

AXIAL, SAGITTAL, CORONAL = "Axial", "Sagittal", "Coronal"
VOLUME = "Volume"
LAYOUTS = {
    "three": "Axial large", "row": "Side by side", "axial": AXIAL, "sagittal": SAGITTAL, "coronal": CORONAL,
    "volume": "Axial and 3-D",
}  # fmt: skip
_CAPTION_PIXELS = 16
_SMALL_PIXELS = 12  # in 3-D pictures, which the browser enlarges


class SliceViews:
    """Axial, sagittal and coronal slice views, and in one layout a 3-D view.

    Args:
        server: that shows them.
        app: that owns the scene.
        caption: shown in each of them.
        describe: fills the page above a view.

    Attributes:
        stream: takes their pictures to the browser.
    """

    def __init__(self, server: Server, app: SlicerApp, caption: ViewCaption, describe: DescribeView) -> None:
        self._app = app
        self.stream = PictureStream()
        app.view_manager.register_factory(ViewFactory(server, self.stream, describe))
        self._layouts = LayoutManager(app.scene, app.view_manager, server)
        # VTK 9.6 warns, six times, that views observe a resize of their interactor; trame-slicer sends it itself.
        vtkObject.GlobalWarningDisplayOff()
        self._layouts.register_layout_dict(_layouts())
        volume = ViewLayoutDefinition.threed_view(name=VOLUME, background_color="#000000")
        both = Layout(LayoutDirection.Horizontal, [_definition(AXIAL), volume])
        self._layouts.register_layout("volume", both, lazy_initialization=True)
        self._layouts.set_layout("three")
        self._caption = caption
        self._captioned: list[AbstractView] = []
        for view in self.all:
            view.interactor().AddObserver(vtkCommand.WindowResizeEvent, partial(_refit, view))
        self._finish_views()
        vtkObject.GlobalWarningDisplayOn()

    @property
    def all(self) -> list[SliceView]:
        return self._app.view_manager.get_slice_views()

    def view(self, orientation: str) -> SliceView:
        """The view of an orientation."""
        return next(view for view in self.all if view.get_singleton_tag() == orientation)

    def place(self, layout: AbstractLayout) -> None:
        """Puts the views into the page, where it is being built."""
        self._layouts.initialize_layout_grid(layout)

    def arrange(self, layout: str) -> None:
        """Shows one of ``LAYOUTS``."""
        self._layouts.set_layout(layout)
        self._finish_views()  # the 3-D view is made when it is first shown

    def _finish_views(self) -> None:
        for view in self._app.view_manager.get_views():
            if view not in self._captioned:
                self._captioned.append(view)
                self._caption.add(view.first_renderer(), _CAPTION_PIXELS if view in self.all else _SMALL_PIXELS)
                # Smoothing the edges of lines eightfold costs more than drawing all the rest of a slice.
                view.render_window().SetMultiSamples(0)

    def fit(self) -> None:
        """Fits all views to their volumes."""
        for view in self.all:
            view.reset_view()
            _reslice_along_axes(view)


def _refit(view: SliceView, *_: Any) -> None:
    """Fits a view that has got another size to its volume, and stays at its slice."""
    offset = view.get_slice_value()
    view.fit_view_to_content()
    view.set_slice_value(offset)


def _reslice_along_axes(view: SliceView) -> None:
    """Lets VTK take its short way through voxels whose axes are those of the view, which halves the time of a slice.

    Slicer gives vtkImageReslice the slices' distance in mm, divided by this factor, as the share of it that slabs
    advance by. For any share but 1 VTK takes the way for oblique slices, and projections do not step by whole slices.
    """
    view.get_view_node().SetSlabReconstructionOversamplingFactor(view.get_slice_step())


def _layouts() -> dict[str, Layout]:
    axial, sagittal, coronal = (_definition(name) for name in (AXIAL, SAGITTAL, CORONAL))
    across, down = LayoutDirection.Horizontal, LayoutDirection.Vertical
    return {
        "three": Layout(across, [axial, Layout(down, [sagittal, coronal])], ["1.6", "1"]),
        "row": Layout(across, [axial, sagittal, coronal]),
        "axial": Layout(down, [axial]),
        "sagittal": Layout(down, [sagittal]),
        "coronal": Layout(down, [coronal]),
    }


def _definition(name: Any) -> ViewLayoutDefinition:
    return ViewLayoutDefinition.slice_view(name, label=name)
