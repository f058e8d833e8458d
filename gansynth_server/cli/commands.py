"""The one table of ``gansynth``'s commands. Each imports what it needs when run."""

from typing import Annotated

from tyro.conf import subcommand

from gansynth_server.cli.batch import BatchCommand
from gansynth_server.cli.bench import BenchCommand
from gansynth_server.cli.convert import CheckpointsCommand, ConvertCommand
from gansynth_server.cli.dataset import DatasetCommand
from gansynth_server.cli.directions import DirectionsCommand
from gansynth_server.cli.evaluate import EvaluateCommand
from gansynth_server.cli.export import ExportCommand
from gansynth_server.cli.fuzz import FuzzCommand
from gansynth_server.cli.gpu import GpuCommand
from gansynth_server.cli.hallucinate import HallucinateCommand
from gansynth_server.cli.invert import InvertCommand
from gansynth_server.cli.map import MapCommand
from gansynth_server.cli.messages import MessagesCommand
from gansynth_server.cli.note import NoteCommand
from gansynth_server.cli.play import PlayCommand
from gansynth_server.cli.presets import PresetsCommand
from gansynth_server.cli.render import RenderCommand
from gansynth_server.cli.soak import SoakCommand
from gansynth_server.cli.train import TrainCommand
from gansynth_server.cli.transfer import TransferCommand

Command = (
    Annotated[NoteCommand, subcommand("note")]
    | Annotated[RenderCommand, subcommand("render")]
    | Annotated[BatchCommand, subcommand("batch")]
    | Annotated[HallucinateCommand, subcommand("hallucinate")]
    | Annotated[ExportCommand, subcommand("export")]
    | Annotated[PlayCommand, subcommand("play")]
    | Annotated[TransferCommand, subcommand("transfer")]
    | Annotated[InvertCommand, subcommand("invert")]
    | Annotated[PresetsCommand, subcommand("presets")]
    | Annotated[CheckpointsCommand, subcommand("checkpoints")]
    | Annotated[ConvertCommand, subcommand("convert")]
    | Annotated[DirectionsCommand, subcommand("directions")]
    | Annotated[MapCommand, subcommand("map")]
    | Annotated[MessagesCommand, subcommand("messages")]
    | Annotated[DatasetCommand, subcommand("dataset")]
    | Annotated[TrainCommand, subcommand("train")]
    | Annotated[EvaluateCommand, subcommand("evaluate")]
    | Annotated[BenchCommand, subcommand("bench")]
    | Annotated[GpuCommand, subcommand("gpu")]
    | Annotated[SoakCommand, subcommand("soak")]
    | Annotated[FuzzCommand, subcommand("fuzz")]
)
