"""Clips in and out: same container, frame times and sound; exposure without flicker."""
import contextlib
import gc
import itertools
import os
from collections import deque
from fractions import Fraction
from functools import cache, partial
from heapq import heappop, heappush
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lowlight.files import CLIPS, Result, private_mode, whole_file
from lowlight.hdr import HLG, PQ, hdr_to_sdr
from lowlight.photo import (LUMA, TILE, colour_as_before, enhance, make_thumbnail,
                            mean_luma, quantise)

BLACK = 1 / 255         # mean luma of a frame below which it shows only noise
CUT = 0.15              # change of the tones, relative to how bright they are, that is a cut
MOST_ABOVE = 1.08       # how much brighter a frame of a clip may be than as a photo

CODERS = {"h264": ("libx264", {"crf": "18", "bf": "0"}),  # B-frames blur the last time
          "hevc": ("libx265", {"crf": "20", "x265-params": "log-level=none:bframes=0"}),
          "vp8": ("libvpx", {"crf": "8", "b": "20M"}),
          "vp9": ("libvpx-vp9", {"crf": "24", "b": "0", "cpu-used": "4"}),
          "av1": ("libsvtav1", {"crf": "26"})}
LARGEST_STEP_BACK = Fraction(1, 2)              # seconds, of the times of one recording
WEBM_KINDS = {"vp8", "vp9", "av1"}              # their coders round odd sides up
KINDS = {".webm": WEBM_KINDS, ".mov": {"h264", "hevc"}, ".mp4": CODERS.keys() - {"vp8"}}
TAGS_OF_THE_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder",
                    "duration"}                 # true of the source file only
TAGS_OF_TRACKS = {"title", "language", "handler_name", "creation_time", "timecode"}
TAGS_OF_MP4 = {"title", "artist", "album", "album_artist", "composer", "date", "genre",
               "comment", "copyright", "description", "synopsis", "creation_time",
               "location", "location-eng"}      # others need an option of FFmpeg

SIDE_DATA = {"A53_CC": "closed captions",       # that PyAV reads, but cannot write
             "SPHERICAL": "mark of a view all around (360 degrees)",
             "STEREO3D": "mark of a view by two eyes"}

# Numbers of FFmpeg. Its default conversion to RGB and back darkens by up to two levels.
INTERPOLATION_FLAGS = 0x42002   # SWS_ACCURATE_RND, _FULL_CHR_H_INT and _BILINEAR
BT709, BT601, BT2020 = 1, 6, 9  # AVCOL_SPC_BT709, _SMPTE170M and _BT2020_NCL
COLOUR_SPACES = (BT709, 5, BT601, 7, BT2020)    # those that are converted to RGB
LIMITED_RANGE = 1               # AVCOL_RANGE_MPEG: luma from 16 to 235
FRAME_DURATION = 0x100          # AV_CODEC_FLAG_FRAME_DURATION


@cache
def import_av():
    """The package av (PyAV), imported once there is a clip to open, or ValueError."""
    os.environ.setdefault("SVT_LOG", "1")   # or the coder of AV1 prints its settings
    try:
        import av
    except ImportError:
        raise ValueError("clips need one more package: pip install 'lowlight[clips]'"
                         ) from None
    av.logging.set_level(av.logging.PANIC)      # errors are raised, so not printed too
    return av


def broadcast_start(clip):
    """Seconds at which an open clip begins where that is only the clock of the sender."""
    started = clip.format.name in ("mpegts", "mpeg") and clip.start_time
    return started / 1_000_000 if started else 0.0


class Outlook(NamedTuple):
    """What is known of a frame before it is enhanced.

    `begins_scene`: whether the scene is another one than in the frame before it.
    `lowest_gain`: the least logarithmic gain that the network decides within the next
    half second of the same scene; infinity if that is not known.
    """
    begins_scene: bool
    lowest_gain: float = np.inf


class ClipEnhancer:
    """Brightens the frames of one clip in turn; the exposure follows the scene calmly.

    Each frame is enhanced as if it were a photo. From the result follows the gain that
    the network has decided on: mean luma after over mean luma before. This gain is what
    is smoothed. It rises over about a second. It falls at once where the frame would
    else be brighter than the photo by more than MOST_ABOVE, so no light turns white. A
    black frame, of which the network makes bright noise, keeps the gain of the last one.

    `frame_rate`: frames a second. `seconds`: time constant of the moving average, 0 for
    none. For the rest see `lowlight.enhance`.
    """

    def __init__(self, network, frame_rate, brightness=None, strength=1.0, tile=TILE,
                 seconds=1.0):
        self._enhance = partial(enhance, network, brightness=brightness,
                                strength=strength, tile=tile)
        self._frame_rate, self._seconds = frame_rate, seconds
        self._persistence = float(np.exp(-1 / (frame_rate * seconds))) if seconds else 0
        self._tones = None              # of the last frame that was not black
        self._gain = None               # logarithmic, of the same frame
        self._outlooks = deque()

    def look_ahead(self, frames):
        """Read the frames of the whole clip, before the first of them is enhanced.

        Optional. A fade from black then begins with the gain of the light that it leads
        to. Only the thumbnails are enhanced: the network decides nearly the same on
        them, and they cost little.
        """
        if not self._seconds:
            return
        begins, gains = [], []
        for frame in frames:
            thumbnail = make_thumbnail(frame)
            begins.append(self._begins_scene(thumbnail))
            photo = quantise(thumbnail, np.uint16)
            gains.append(np.inf if is_black(frame)
                         else log_gain(photo, self._enhance(photo)))
        self._tones = None
        if np.isinf(gains).all():       # black throughout: no light is to come
            return
        count = round(self._frame_rate * self._seconds / 2)
        for number in range(len(gains)):
            end = number + 1
            while end < min(number + count, len(gains)) and not begins[end]:
                end += 1
            self._outlooks.append(Outlook(begins[number], min(gains[number:end])))

    def __call__(self, frame):
        """The next frame, uint8 (H, W, 3), brightened: the same shape and type."""
        if self._outlooks:
            outlook = self._outlooks.popleft()
        else:
            outlook = Outlook(self._begins_scene(make_thumbnail(frame)))
        alone = colour_as_before(self._enhance(frame), frame)
        decided = log_gain(frame, alone)
        correction = np.exp(self._smooth(decided, outlook, is_black(frame)) - decided)
        levels = quantise(np.arange(256) / 255 * correction, np.uint8)
        # No pixel gets darker than it was in the clip: a lamp stays white.
        return np.maximum(levels[alone], np.minimum(frame, alone))

    def _smooth(self, decided, outlook, black):
        """The logarithmic gain to apply, where `decided` is that of the frame alone."""
        most = decided + np.log(MOST_ABOVE)
        if black:
            gain = self._gain
            if gain is None:            # left as it is, if light is to come
                gain = 0.0 if self._outlooks else decided
            return min(gain, most)
        target = min(decided, outlook.lowest_gain)
        if self._gain is None or outlook.begins_scene:
            self._gain = target
        self._gain = target + self._persistence * (self._gain - target)
        self._gain = min(self._gain, most)
        return self._gain

    def _begins_scene(self, thumbnail):
        """Whether the tones differ from those before; a pan and a fade keep most."""
        tones = np.sort(thumbnail @ LUMA, axis=None)
        if tones.mean() < BLACK:
            return False
        last, self._tones = self._tones, tones
        if last is None:
            return False
        level = 0.15 + (tones + last).mean() / 2     # a step of a dark fade is no cut
        return bool(np.abs(tones - last).mean() > CUT * level)


def is_black(frame):
    """Whether a frame shows nothing but the noise of the camera."""
    return mean_luma(frame) < BLACK


def log_gain(before, after):
    """Logarithm of the mean luma of the photo `after` over that of `before`."""
    return float(np.log((mean_luma(after) + 1e-3) / (mean_luma(before) + 1e-3)))


def is_mp4(path):
    """Whether the file `path` is of the MP4 family, by its suffix."""
    return Path(path).suffix.lower() in (".mp4", ".mov")


def open_clip(path):
    """A clip opened by FFmpeg; a colon in its name names no protocol."""
    return import_av().open(f"file:{path}", metadata_errors="replace")


def first_frame(path):
    """The first frame of the clip at `path`; ValueError if there is none to work on."""
    try:
        with open_clip(path) as clip:
            video = clip.streams.best("video")
            if video is None:
                raise ValueError(
                    f"{path}: no pictures in it; replace it or leave it out")
            if clip.format.name.endswith("_pipe"):      # of FFmpeg, for single pictures
                raise ValueError(f"{path}: a photo by its content, not a clip; rename it, "
                                 f"such as to {Path(path).stem}.jpg")
            for packet in clip.demux(video):
                with contextlib.suppress(import_av().FFmpegError):  # it may begin broken
                    for frame in packet.decode():
                        return frame
        raise ValueError(f"{path}: not a readable clip (no picture of it is whole); "
                         "replace it or leave it out")
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file; check its name") from None
    except PermissionError:
        raise ValueError(f"{path}: may not be read; change its permissions") from None
    except (import_av().FFmpegError, IndexError) as error:
        raise ValueError(f"{path}: not a readable clip ({type(error).__name__}: "
                         f"{error}); replace it or convert it to MP4") from None


def is_hdr(frame):
    """Whether the colours of a video frame are coded by PQ or HLG."""
    return frame.color_trc in (PQ, HLG)


def has_alpha(video, first):
    """Whether something shows through the pictures of a stream; `first`: its first frame."""
    if "alpha_mode" in map(str.lower, video.metadata):      # of VP8 and VP9
        return True
    return (any(part.is_alpha for part in first.format.components)
            and first.to_ndarray(format="rgba")[..., 3].min() < 255)


def colour_space(frame):
    """FFmpeg's number of a frame's colour space; the usual one where it says none."""
    if frame.colorspace in COLOUR_SPACES:
        return int(frame.colorspace)
    if is_hdr(frame):
        return BT2020
    return BT709 if frame.height >= 720 else BT601


def side_data(frame, kind):
    """What is said beside a video frame, by FFmpeg's name of its kind; None if nothing."""
    with contextlib.suppress(ValueError):       # PyAV fails on kinds that it does not know
        return frame.side_data.get(kind)


def upright(frame):
    """A video frame as uint8 RGB (H, W, 3), turned as its display matrix says."""
    photo = frame.to_ndarray(format="rgb48le" if is_hdr(frame) else "rgb24",
                             src_colorspace=colour_space(frame),
                             interpolation=INTERPOLATION_FLAGS)
    if is_hdr(frame):
        photo = hdr_to_sdr(photo, frame.color_trc)
    matrix = side_data(frame, "DISPLAYMATRIX")
    if matrix is not None:
        a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].astype(float)
        photo = photo[::-1] if a * d < b * c else photo     # mirrored: a selfie
    return np.ascontiguousarray(np.rot90(photo, round(frame.rotation / 90)))


class FrameReader:
    """Decodes the pictures of an open clip, packet by packet.

    `damaged`: how many packets and frames have been passed over.
    """

    def __init__(self, clip):
        self.video = clip.streams.best("video")
        self.damaged = 0
        self._is_avi = clip.format.name == "avi"
        self._last_pts = -np.inf
        self._times = []
        self._numbers = itertools.count()           # of pictures without times

    def frames(self, packet):
        """Yield the frames of a packet, if they decode and are later than the last."""
        if self._is_avi and packet.pts is not None:
            heappush(self._times, packet.pts)
        try:
            frames = packet.decode()
        except import_av().FFmpegError:
            self.damaged += 1
            return
        for frame in frames:
            if self._times:             # AVI knows when frames are shown, not which
                frame.pts = heappop(self._times)
            if frame.pts is None and is_bare(self.video):
                rate = float(frame_rate(self.video))
                frame.pts = round(next(self._numbers) / rate / frame.time_base)
            if frame.pts is None or frame.pts <= self._last_pts:
                self.damaged += 1
            else:
                self._last_pts = frame.pts
                yield frame


def packets_of(clip, tracks):
    """Yield the packets of some tracks of an open clip.

    A file of a broadcast or a camcorder may have been joined from several, in each of
    which the time begins anew: there it goes on instead.
    """
    may_be_joined = clip.format.name in ("mpegts", "mpeg")
    shift = 0                   # seconds by which the newest of them is moved
    shifts, ends = {}, {}       # of each track: how far its packets are moved, and reach
    for packet in clip.demux(tracks):
        if may_be_joined and packet.dts is not None:
            track = packet.stream
            time = packet.dts * packet.time_base
            shifts.setdefault(track, shift)
            if time + shifts[track] < ends.get(track, 0) - LARGEST_STEP_BACK:
                if shifts[track] == shift:      # the first track that comes to the joint
                    shift = max(ends.values()) + Fraction(1, 10) - time
                shifts[track] = shift
            time += shifts[track]
            ends[track] = time + (packet.duration or 0) * packet.time_base
            ticks = round(shifts[track] / packet.time_base)
            packet.dts += ticks
            if packet.pts is not None:
                packet.pts += ticks
        yield packet


def pictures(path):
    """Yield the pictures of a clip, uint8 RGB (H, W, 3), up to its end or its break."""
    with contextlib.suppress(import_av().FFmpegError), open_clip(path) as clip:
        reader = FrameReader(clip)
        for packet in packets_of(clip, reader.video):
            for frame in reader.frames(packet):
                yield upright(frame)


def frame_rate(video):
    """Frames a second of a stream; the usual number where it does not say."""
    said = video.guessed_rate if is_bare(video) else video.average_rate
    return said or Fraction(25)


def is_bare(video):
    """Whether a stream knows no times, as that of a file .h264."""
    return video.start_time is None


def end_time(part):
    """When a frame or packet is over, in seconds; 0.0 if it does not say."""
    return 0.0 if part.pts is None else float(
        (part.pts + (part.duration or 0)) * part.time_base)


def add_pictures(result, video, first):
    """A stream of the open clip `result` for pictures like those of the stream `video`.

    `first`: the first frame of `video`.
    """
    suffix, kind = Path(result.name).suffix.lower(), video.codec.canonical_name
    if kind not in KINDS.get(suffix, CODERS):
        kind = "vp9" if suffix == ".webm" else "h264"
    name, options = CODERS[kind]
    stream = result.add_stream(name, rate=frame_rate(video), options=options)
    coder = stream.codec_context
    pixel = video.sample_aspect_ratio or Fraction(1)
    coder.height, coder.width = upright(first).shape[:2]
    coder.sample_aspect_ratio = 1 / pixel if round(first.rotation / 90) % 2 else pixel
    even = coder.height % 2 == coder.width % 2 == 0     # 4:2:0 halves both sides
    coder.pix_fmt = "yuv420p" if even or kind in WEBM_KINDS else "yuv444p"
    coder.time_base = video.time_base
    coder.colorspace = colour_space(first)
    coder.color_primaries, coder.color_trc = first.color_primaries, first.color_trc
    if is_hdr(first):
        coder.colorspace = coder.color_primaries = coder.color_trc = BT709
    coder.color_range = LIMITED_RANGE
    coder.flags |= FRAME_DURATION
    if kind == "hevc" and is_mp4(result.name):
        coder.codec_tag = "hvc1"                # Apple's players know no other
    return stream


def describing_tags(clip):
    """The tags of an open clip that describe what was filmed, not the file."""
    return {name: text for name, text in clip.metadata.items()
            if name.lower() not in TAGS_OF_THE_FILE}


def missing_tags(source, path):
    """The names of tags of the open clip `source` that the clip at `path` lacks."""
    with open_clip(path) as result:
        found = {name.lower() for name in result.metadata}
    return [name for name in describing_tags(source) if name.lower() not in found]


def copy_track_tags(track, copy):
    """Give a track the language, the title and the like of another, and its roles."""
    tags = {name.lower(): text for name, text in track.metadata.items()}
    if "name" in tags:                  # so MP4 and MOV call it
        tags.setdefault("title", tags["name"])
    for name in TAGS_OF_TRACKS & set(tags):
        copy.metadata[name] = tags[name]
    copy.disposition = track.disposition


def is_refused(sound, target):
    """Whether the header of the clip `target` fails on a sound that PyAV lets into it."""
    suffix = Path(target).suffix.lower()
    kind = sound.codec_context.name
    if suffix == ".mov":
        return kind in ("flac", "opus")
    # An AVI does not say which channels they are, and an MP4 has to.
    unnamed = sound.channels > 1 and sound.layout.name.endswith(" channels")
    return suffix == ".mp4" and kind.startswith("pcm_") and unnamed


def is_written_anew(track):
    """Whether a data track holds the chapters or the time code, which are tags here."""
    return ("timecode" in track.metadata
            or track.name == "bin_data" and bool(track.container.chapters()))


def writing_options(target, source):
    """Options of FFmpeg for writing the clip `target` with the tags of `source`."""
    if not is_mp4(target):
        return {}
    names = {name.lower() for name in describing_tags(source)}
    if names <= TAGS_OF_MP4:
        return {"movflags": "+faststart"}
    return {"movflags": "+faststart+use_metadata_tags"}


class ClipCopy:
    """One open clip on its way into another, packet by packet, its pictures changed.

    `source` and `result`: open clips; `first`: the first frame of `source`.
    """

    def __init__(self, source, result, first):
        self._source, self._result = source, result
        self._reader = FrameReader(source)
        self._video = self._reader.video
        self._pictures = add_pictures(result, self._video, first)
        self._copies = {}
        self._dropped_tracks = []
        self._damaged_packets = 0
        self._sounds = {}               # track: the one into which it is encoded anew
        self._start = broadcast_start(source)       # seconds that the result leaves out
        self._video_start = self._video.start_time or 0     # FFmpeg may change it later
        self._end_time = 0.0            # seconds up to which anything has been written
        self.pictures_end_time = self.megapixels = 0.0
        self.missing_tags = []          # known once the result is closed
        self.frame_rate = float(frame_rate(self._video))
        self._was_hdr = is_hdr(first)
        self._had_alpha = has_alpha(self._video, first)
        self._lost_side_data = [what for kind, what in SIDE_DATA.items()
                                if side_data(first, kind) is not None]
        self._was_interlaced = first.interlaced_frame
        self._bits = first.format.components[0].bits
        for track in source.streams:
            if track.type in ("audio", "subtitle"):
                self._add_track(track)
            elif track.type == "attachment":
                self._add_attachment(track)
            elif track.type == "video" and track is not self._video:
                self._dropped_tracks.append("second video")
            elif track.type == "data" and not is_written_anew(track):
                self._dropped_tracks.append("data")
        copy_track_tags(self._video, self._pictures)
        result.metadata.update(describing_tags(source))
        result.set_chapters(source.chapters())

    def _add_track(self, track):
        """A track of the result that gets the packets of `track` as they are."""
        if track.type == "audio" and track.codec_context:
            if not track.rate:          # announced, but no sound comes
                self._dropped_tracks.append("audio")
                return
            if is_refused(track, self._result.name):
                self._add_sound(track)
                return
        try:
            copy = self._result.add_stream_from_template(track)
        except (ValueError, import_av().FFmpegError):
            if track.type == "audio" and track.codec_context:
                self._add_sound(track)
            else:
                self._dropped_tracks.append(track.type)
            return
        copy_track_tags(track, copy)
        self._copies[track] = copy

    def _add_sound(self, track):
        """A track of the result for sound of a kind that the container cannot hold."""
        is_webm = self._result.format.name == "webm"
        sound = self._result.add_stream("libopus" if is_webm else "aac", rate=48000)
        sound.layout = "mono" if track.channels == 1 else "stereo"
        sound.bit_rate = 192_000
        copy_track_tags(track, sound)
        self._sounds[track] = sound

    def _add_attachment(self, track):
        """A font or another file inside an MKV, the only container of such."""
        if self._result.format.name != "matroska":
            self._dropped_tracks.append("attachment")
            return
        self._result.add_attachment(track.name or "attachment",
                                    track.mimetype or "application/octet-stream",
                                    track.data)

    def run(self, change, on_frame=None):
        """Copy to the end or the break of the source.

        `change`: function of a uint8 photo (H, W, 3). `on_frame` is called with the
        megapixels of each.
        """
        self._result.start_encoding()   # or the header's faults seem to be a packet's
        for packet in self._packets():
            if packet.stream is self._video:
                for frame in self._reader.frames(packet):
                    self._write_frame(change(upright(frame)), frame)
                    self.megapixels += frame.width * frame.height / 1e6
                    if on_frame:
                        on_frame(frame.width * frame.height / 1e6)
            elif packet.stream in self._sounds:
                self._encode_sound(packet)
            elif packet.dts is not None:        # the last, empty one has none
                self._copy_packet(packet)
        for track in (self._pictures, *self._sounds.values()):
            self._result.mux(track.encode(None))

    def _packets(self):
        """Yield the packets of the source that are wanted, until it ends or breaks."""
        with contextlib.suppress(import_av().FFmpegError):
            yield from packets_of(self._source,
                                  [self._video, *self._copies, *self._sounds])

    def _copy_packet(self, packet):
        """Write a packet of sound or subtitles as it is, unless its time runs back."""
        self._end_time = max(self._end_time, end_time(packet))
        packet.stream = self._copies[packet.stream]
        start = round(self._start / packet.time_base)
        packet.dts -= start
        if packet.pts is not None:
            packet.pts -= start
        try:
            self._result.mux(packet)
        except import_av().ArgumentError:
            self._damaged_packets += 1

    def _encode_sound(self, packet):
        """Write a packet of sound in another code."""
        self._end_time = max(self._end_time, end_time(packet))
        try:
            for frame in packet.decode():
                if frame.pts is not None:
                    frame.pts -= round(self._start / frame.time_base)
                self._result.mux(self._sounds[packet.stream].encode(frame))
        except import_av().FFmpegError:
            self._damaged_packets += 1

    def _write_frame(self, photo, frame):
        """Write a uint8 photo (H, W, 3) at the time of the source `frame`."""
        coder = self._pictures.codec_context
        picture = import_av().VideoFrame.from_ndarray(photo, "rgb24").reformat(
            coder.width, coder.height, coder.pix_fmt, dst_colorspace=coder.colorspace,
            dst_color_range=LIMITED_RANGE, interpolation=INTERPOLATION_FLAGS)
        picture.time_base = frame.time_base
        picture.pts = frame.pts - round(self._start / frame.time_base)
        picture.duration = frame.duration
        self._result.mux(self._pictures.encode(picture))
        self.pictures_end_time = max(self.pictures_end_time, end_time(frame))
        self._end_time = max(self._end_time, self.pictures_end_time)

    def missing_seconds(self):
        """How much later than here the source says that it ends; 0.0 for 3 frames."""
        video = self._video
        if video.duration:
            end = (self._video_start + video.duration) * video.time_base
            missing = float(end) - self.pictures_end_time
        else:                       # only the whole file says it, sound included
            missing = (self._source.duration or 0) / 1_000_000 - self._end_time
        return missing if missing > 3 / self.frame_rate else 0.0

    def note(self):
        """What the owner of the clip should know; may be empty."""
        notes = [f"its {kind} track cannot be kept"
                 for kind in dict.fromkeys(self._dropped_tracks)]
        if self._sounds:
            has_more = any(track.channels > 2 for track in self._sounds)
            code = "another code, and in stereo" if has_more else "another code"
            notes.append(f"its sound is in {code}, as the container asks")
        notes += [f"its {what} cannot be kept" for what in self._lost_side_data]
        if self._was_hdr:
            notes.append("converted from HDR to SDR")
        elif self._bits > 8:
            notes.append(f"its {self._bits} bits a channel became 8")
        if self._was_interlaced:
            notes.append("it was interlaced, and is progressive now")
        if self._had_alpha:
            notes.append("its transparency is lost")
        if self.missing_tags:
            notes.append("its tags cannot be kept: " + ", ".join(self.missing_tags))
        damaged = self._damaged_packets + self._reader.damaged
        if damaged:
            notes.append(f"{damaged} damaged packets passed over")
        return "; ".join(notes)


def enhance_clip(network, path, target, brightness=None, strength=1.0, tile=TILE,
                 on_frame=None):
    """Enhance the clip `path` into the file `target`: a Result.

    `on_frame` is called with the megapixels of each frame. For the rest see
    `lowlight.enhance`. Raises ValueError, naming file and remedy, for what is no clip,
    and for one that breaks off, after all up to the break has been written.
    """
    target = Path(target)
    if target.suffix.lower() not in CLIPS:
        raise ValueError(f"{target}: clips are written as .mp4, .mov, .mkv or .webm")
    gc.collect()    # PyAV's frames are cycles, and hold the last clip's codecs and threads
    first, av = first_frame(path), import_av()
    try:
        with whole_file(target, private_mode(path)) as part, open_clip(path) as source:
            options = writing_options(target, source)
            with av.open(f"file:{part}", "w", options=options) as result:
                copy = ClipCopy(source, result, first)
                enhancer = ClipEnhancer(network, copy.frame_rate, brightness, strength,
                                        tile)
                enhancer.look_ahead(pictures(path))
                copy.run(enhancer, on_frame)
            missing = copy.missing_seconds()
            copy.missing_tags = missing_tags(source, part)
    except av.FFmpegError as error:
        raise ValueError(f"{path}: cannot be enhanced ({error}); convert it to MP4 "
                         "first") from None
    if missing:
        raise ValueError(
            f"{path}: breaks off after {copy.pictures_end_time:.1f} s, {missing:.1f} s "
            f"are missing; {target} holds all up to there")
    return Result(copy.megapixels, copy.note() and f"{path}: {copy.note()}")
