"""What the server can be told at its start: the one table of its settings and defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DEFAULT_CHECKPOINT = "all_instruments"
SEARCH_SECONDS = 45.0
"""For the timbre nearest to a recorded note."""
DEFAULT_PORT = 57180
DEFAULT_PAGE_PORT = 57181


BackendName = Literal["auto", "eager", "compile", "openvino", "cuda"]
FallbackName = Literal["none", "cpu"]
PrecisionName = Literal["auto", "float32", "bfloat16", "float16"]
ShardKind = Literal["tar", "parquet"]


@dataclass(frozen=True)
class ServerOptions:
    """GANSynth notes, live: OSC messages in, sound out to Pure Data or a sound card."""

    checkpoint: str = DEFAULT_CHECKPOINT
    """A bundled name, a folder, or a .safetensors file."""
    port: int = DEFAULT_PORT
    """UDP port for OSC; 0 takes a free one."""
    bind: str = "127.0.0.1"
    """Address to listen on, this machine's own of IPv4 and IPv6 by default; any other needs --allow
    or --password."""
    tcp: int | None = None
    """TCP port for OSC, in SLIP or with sizes, on the same addresses; 0 takes a free one."""
    allow: tuple[str, ...] = ()
    """Addresses and networks that may talk to the server, besides this machine."""
    password: str | None = None
    """What other machines must send with /login; $GANSYNTH_PASSWORD is not seen by others."""
    oscquery: int | None = None
    """TCP port for OSCQuery, which tells what messages there are; 0 takes a free one."""
    page: int | None = None
    """TCP port of a page that plays in a browser; 57181 for --page alone, 0 takes a free one."""
    page_cert: str | None = None
    """Certificate (.pem) of the page, for browsers on other machines."""
    page_key: str | None = None
    """Private key (.pem) of the certificate."""
    midi: str | None = None
    """MIDI input to be played by: a part of its name, or virtual for a new one."""
    list_midi: bool = False
    """List the MIDI inputs and exit."""
    session: str | None = None
    """File of /session/save that each client begins with, and whose checkpoint is taken unless
    --checkpoint names another."""
    output: str = "auto"
    """auto, soundcard, none (Pd streams only) or the path of a .wav, .flac or .ogg file."""
    device: str | None = None
    """Sound card: part of its name, or its number in --list-devices."""
    list_devices: bool = False
    """List the sound cards and exit."""
    rate: int | None = None
    """Sample rate of the output in Hz; the sound card's own if not given."""
    channels: int | None = None
    """Of the output: 2 for stereo, 1 for mono; files are mono if not given, all else stereo."""
    blocksize: int = 256
    """Frames rendered at a time for the output (none: 1024 or more); less is faster, more is
    safer."""
    max_voices: int = 64
    """Notes that sound at once for one listener; beyond it the oldest is cut."""
    max_clients: int = 64
    """Clients at once; one that was silent for 5 s or more makes room."""
    client_timeout: float = 60.0
    """Seconds without a datagram after which a client is forgotten, unless its notes sound."""
    rate_limit: int = 10000
    """Messages a second of one client, and 800 times as many bytes; 0 is no limit."""
    torch_device: str = "auto"
    """Where the network runs: auto, cpu, cuda, cuda:1 … or several, with commas: a worker each."""
    workers: int = 1
    """Processes that render, of one queue; one that ends is replaced, and its work done again."""
    backend: BackendName = "auto"
    """What runs it; auto measures what there is and takes the fastest."""
    precision: PrecisionName = "auto"
    """Of the network; auto is bfloat16 on CUDA, and on a CPU if that is faster; else float32."""
    cache_mb: int = 256
    """Megabytes for notes that sound or may be played again, 1 for each timbre and pitch; with 0
    none are kept or rendered ahead."""
    models_mb: int = 1024
    """Megabytes for checkpoints that were switched away from, so that they are back at once."""
    threads: int = 0
    """CPU threads of each worker; 0 shares all cores but one, which is left to the sound."""
    root: str | None = None
    """Folder that clients may load files from and save them to; without it they reach none."""
    realtime: bool = False
    """Real-time priority for the sound and locked memory, where the system grants it (Linux)."""
    fallback: FallbackName = "none"
    """cpu: where a render fails on another device, it is tried on the CPU from then on; where a
    GPU has no memory for it, that is so in any case."""
    discard_late: bool = False
    """Drop messages that come after the time of their bundle; they are played at once otherwise."""
    seed: int | None = None
    """Makes the latents of /z/random the same at every start."""
    log: tuple[str, ...] = ()
    """Levels of single loggers, as osc.in=debug; a wrong name lists them."""
    metrics: int | None = None
    """TCP port for Prometheus; 0 takes a free one."""
    verbosity: int = 0
    """-1 errors only, 0 normal, 1 every message, 2 every message and block."""
    version: bool = False
    """Print the version and exit."""
