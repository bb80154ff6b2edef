"""HDR photos and frames become SDR. Curves of ITU-R BT.2100, matrix of BT.2087.

White paper has 203 candelas a square metre (BT.2408), and becomes nearly white in SDR.
"""
import numpy as np

from lowlight.photo import quantise

PQ, HLG = 16, 18        # codes of the transfer in ITU-T H.273
BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593])        # weights of R, G, B
BT709_TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433],
                            [0.0691, 0.9195, 0.0114],
                            [0.0164, 0.0880, 0.8956]])
HDR_WHITE = 255 * 256   # what FFmpeg makes of the signal 1 in 16 bits
PAPER_WHITE = 203.0
KNEE = 0.75             # share of paper white from which on highlights are compressed


def pq_light(signal):
    """Light in candelas a square metre of a PQ signal in [0, 1]."""
    power = signal ** (1 / 78.84375)
    share = np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)
    return 10_000 * share ** (1 / 0.1593017578125)


def hlg_scene_light(signal):
    """Light of the scene, in [0, 1], of an HLG signal in [0, 1]."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal ** 2 / 3, (np.exp((signal - c) / a) + b) / 12)


def hlg_light(signal):
    """Light of an HLG signal (..., 3) on a display of 1000 candelas a square metre."""
    scene = hlg_scene_light(signal)
    return 1000 * scene * (scene @ BT2020_LUMA)[..., None] ** 0.2


def compress_highlights(light):
    """Light (..., 3) over paper white into [0, 1]; below KNEE it stays what it was."""
    largest = np.maximum(light.max(axis=-1, keepdims=True), 1e-6)
    above = np.maximum(largest - KNEE, 0) / (1 - KNEE)
    compressed = np.minimum(largest, KNEE) + (1 - KNEE) * (1 - np.exp(-above))
    return light * (compressed / largest)       # one factor: the hue stays


def hdr_to_sdr(photo, transfer):
    """A photo of BT.2100, uint16 (H, W, 3) up to HDR_WHITE, as uint8 of BT.709.

    `transfer`: PQ or HLG.
    """
    result = np.empty(photo.shape, np.uint8)
    for top in range(0, len(photo), 64):        # at once, it takes gigabytes
        signal = np.minimum(photo[top:top + 64] / np.float32(HDR_WHITE), 1)
        light = pq_light(signal) if transfer == PQ else hlg_light(signal)
        light = light / PAPER_WHITE @ np.linalg.inv(BT709_TO_BT2020).T
        light = compress_highlights(np.maximum(light, 0))
        result[top:top + 64] = quantise(light ** (1 / 2.4), np.uint8)       # BT.1886
    return result
