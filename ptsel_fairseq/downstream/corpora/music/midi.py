"""Standard MIDI files (format 0) of notes in seconds, as the MIDI 1.0 specification defines them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

TICKS = 480  # a quarter note
MICROSECONDS = 500_000  # a quarter note; with TICKS, 960 ticks are a second
TICKS_A_SECOND = TICKS * 1_000_000 // MICROSECONDS
CHANNELS = tuple(channel for channel in range(16) if channel != 9)  # the tenth is for drums
VOLUME, REVERB = 7, 91  # controllers
LARGEST = 0x0FFFFFFF  # what a length of four bytes can hold


@dataclass(frozen=True, order=True)
class Sounding:
    """A note as it is played: seconds from the beginning, and how strong, 1 to 127."""

    start: float
    end: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Voice:
    """What one player plays: General MIDI's program 0 to 127, controllers by number, and notes."""

    program: int
    notes: Sequence[Sounding]
    controllers: Sequence[tuple[int, int]] = ()


def midi_bytes(voices: Sequence[Voice], seconds: float) -> bytes:
    """A MIDI file in which each voice has a channel of its own, and which ends after so many seconds.

    Raises:
        ValueError: more voices than channels, or values that MIDI cannot hold.
    """
    if len(voices) > len(CHANNELS):
        raise ValueError(f"expected at most {len(CHANNELS)} voices, found {len(voices)}")
    # At one moment: settings, then notes that end, then notes that begin.
    events: list[tuple[int, int, bytes]] = []
    for channel, voice in zip(CHANNELS, voices, strict=False):
        events.append((0, 0, _message(0xC0 | channel, voice.program)))
        events += [(0, 0, _message(0xB0 | channel, number, value)) for number, value in voice.controllers]
        for note in voice.notes:
            if not 1 <= note.velocity <= 127:
                raise ValueError(f"expected a velocity from 1 to 127, found {note.velocity}")
            start = round(note.start * TICKS_A_SECOND)
            end = max(round(note.end * TICKS_A_SECOND), start + 1)
            events.append((start, 2, _message(0x90 | channel, note.pitch, note.velocity)))
            events.append((end, 1, _message(0x80 | channel, note.pitch, 0)))
    track = b"\x00\xff\x51\x03" + MICROSECONDS.to_bytes(3, "big")
    now = 0
    for tick, _, message in sorted(events):
        track += variable_length(tick - now) + message
        now = tick
    end = max(round(seconds * TICKS_A_SECOND), now)
    track += variable_length(end - now) + b"\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS) + b"MTrk" + struct.pack(">I", len(track)) + track


def variable_length(number: int) -> bytes:
    """A number in groups of seven bits, the highest first; all but the last have their eighth bit set."""
    if not 0 <= number <= LARGEST:
        raise ValueError(f"expected a number from 0 to {LARGEST}, found {number}")
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(0x80 | number & 0x7F)
    return bytes(reversed(groups))


def _message(status: int, *values: int) -> bytes:
    if not all(0 <= value <= 127 for value in values):
        raise ValueError(f"expected values from 0 to 127, found {values}")
    return bytes([status, *values])
