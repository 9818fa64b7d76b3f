"""Sizes and colours that HTML and pictures of explanations share, and arrays as inline images."""

import base64
import struct
import zlib

import numpy as np

# The poles of ColorBrewer's RdBu, which stay apart for colour-blind readers; as light as this,
# both black and white words on them are readable.
POSITIVE, NEGATIVE = (214, 96, 77), (67, 147, 195)


def robust_limit(values, quantile=0.99):
    """Size of values at which colours are strongest: a few large ones must not bleach the rest."""
    sizes = np.abs(values[np.isfinite(values)])
    if not sizes.size or not sizes.max() > 0:
        return 1.0
    # of few values the largest
    limit = float(np.quantile(sizes, quantile, method="higher"))
    # where most values are 0
    return limit if limit > 0 else float(sizes.max())


def largest_of_blocks(values, n_rows, n_columns):
    """A matrix of at most that size: of each block the value of the largest size, with its sign.

    Examples
    --------
    >>> largest_of_blocks(np.array([[1.0, -3.0, 0.0, 0.5, np.nan]]), 1, 3)
    array([[-3. ,  0.5,  nan]])
    """
    for axis, n in ((0, n_rows), (1, n_columns)):
        step = -(-values.shape[axis] // n)
        if step > 1:
            blocks = []
            for start in range(0, values.shape[axis], step):
                block = values.take(range(start, min(start + step, values.shape[axis])), axis)
                sizes = np.where(np.isnan(block), -1, np.abs(block))
                at = np.expand_dims(sizes.argmax(axis), axis)
                blocks.append(np.take_along_axis(block, at, axis))
            values = np.concatenate(blocks, axis)
    return values


def shades(values, limit, strongest=0.85):
    """Colours of values, uint8 of shape (..., 4): the sign as hue, the size as opacity."""
    share = np.clip(np.abs(np.nan_to_num(values)) / limit, 0, 1)
    rgba = np.empty((*values.shape, 4), dtype=np.uint8)
    rgba[..., :3] = np.where((values < 0)[..., None], NEGATIVE, POSITIVE)
    rgba[..., 3] = np.round(share * strongest * 255)
    return rgba


def png_source(pixels):
    """A data URI of an image, from uint8 of shape (height, width, 4) or grey (height, width)."""
    height, width = pixels.shape[:2]
    colour_type = 6 if pixels.ndim == 3 else 0
    rows = b"".join(b"\x00" + row.tobytes() for row in np.ascontiguousarray(pixels))
    header = struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in parts
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()


def range_of(values):
    """Smallest finite value, and how far up the others reach; 1 where they do not differ."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    return finite.min(), np.ptp(finite) or 1.0
