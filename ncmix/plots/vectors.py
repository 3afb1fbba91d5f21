"""Files of vectors as matplotlib writes them, but for their texts, which are laid out once."""

import codecs
from typing import IO, Any

from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_pdf import PdfFile

from ncmix.plots.pdf_letters import Pdf
from ncmix.plots.svg_letters import Svg


class FigureCanvas(FigureCanvasBase):
    """Writes figures as matplotlib's own canvases do, but for the renderers: `savefig(…, backend=BACKEND)`.

    Colours of the paper and the like, which `savefig` hands over, are in the figure by then.
    """

    fixed_dpi = 72

    def print_svg(self, filename: IO[bytes], *, metadata: Any = None, **_: Any) -> None:
        """Write SVG into a file that is open."""
        dpi, (width, height) = self._in_points()
        out = codecs.getwriter("utf-8")(filename)
        inner = Svg(72 * width, 72 * height, out, image_dpi=dpi, metadata=metadata)
        self._draw(MixedModeRenderer(self.figure, width, height, dpi, inner))

    def print_pdf(self, filename: IO[bytes], *, metadata: Any = None, **_: Any) -> None:
        """Write PDF into a file that is open."""
        dpi, (width, height) = self._in_points()
        file = PdfFile(filename, metadata=metadata)
        try:
            file.newPage(width, height)
            self._draw(MixedModeRenderer(self.figure, width, height, dpi, Pdf(file, dpi, height, width)))
            file.finalize()
        finally:
            file.close()

    def _in_points(self) -> tuple[float, tuple[float, float]]:
        """Let a dot be a point; gives the resolution that bitmaps shall have, and the inches of the figure."""
        dpi, self.figure.dpi = self.figure.dpi, 72
        width, height = self.figure.get_size_inches()
        return dpi, (width, height)

    def _draw(self, renderer: Any) -> None:
        """A MixedModeRenderer only behaves as a renderer does."""
        self.figure.draw(renderer)
        renderer.finalize()


BACKEND = f"module://{__name__}"
