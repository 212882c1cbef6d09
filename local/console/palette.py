"""Make a screenshot small: 256 colours are enough for a page, and a third of the bytes.

Source of the format: Portable Network Graphics (PNG) Specification, W3C, colour type 3.
"""

import base64
import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

_COLOURS = """async source => {
  const image = new Image()
  image.src = source
  await image.decode()
  const { width, height } = image
  const canvas = new OffscreenCanvas(width, height).getContext('2d')
  canvas.drawImage(image, 0, 0)
  const pixels = new Uint32Array(canvas.getImageData(0, 0, width, height).data.buffer)
  const counts = new Map()
  for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) || 0) + 1)
  const parts = pixel => [pixel & 255, pixel >> 8 & 255, pixel >> 16 & 255]
  const colours = [...counts].map(([pixel, count]) => (
    { pixel, parts: parts(pixel), weight: Math.sqrt(count), far: Infinity, nearest: 0 }))
  // Each time the one that would lack most: seen often, and unlike those that are there already.
  const palette = []
  while (palette.length < Math.min(256, colours.length)) {
    const next = colours.reduce((a, b) => (b.far * b.weight > a.far * a.weight ? b : a))
    for (const each of colours) {
      const far = each.parts.reduce((sum, part, at) => sum + (part - next.parts[at]) ** 2, 0)
      if (far < each.far) Object.assign(each, { far, nearest: palette.length })
    }
    palette.push(next.parts)
  }
  const nearest = new Map(colours.map(each => [each.pixel, each.nearest]))
  let text = ''
  for (const pixel of pixels) text += String.fromCharCode(nearest.get(pixel))
  return { width, height, palette: palette.flat(), indices: btoa(text) }
}"""


def reduced(page: "Page", png: bytes) -> bytes:
    """Return a PNG with 256 of the colours of this one; `page` chooses them."""
    made = page.evaluate(_COLOURS, f"data:image/png;base64,{base64.b64encode(png).decode()}")
    indices, width = base64.b64decode(made["indices"]), made["width"]
    rows = b"".join(
        b"\0" + indices[at : at + width] for at in range(0, width * made["height"], width)
    )
    header = struct.pack(">IIBBBBB", width, made["height"], 8, 3, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"PLTE", bytes(made["palette"]))
        + _chunk(b"IDAT", zlib.compress(rows, 9))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)
