"""What ``gansynth`` can do: the one table of its commands. Each imports what it needs when run."""

from typing import Annotated

from tyro.conf import subcommand

from gansynth_server.commands.batch import BatchCommand
from gansynth_server.commands.bench import BenchCommand
from gansynth_server.commands.convert import CheckpointsCommand, ConvertCommand
from gansynth_server.commands.dataset import DatasetCommand
from gansynth_server.commands.directions import DirectionsCommand
from gansynth_server.commands.evaluate import EvaluateCommand
from gansynth_server.commands.fuzz import FuzzCommand
from gansynth_server.commands.gpu import GpuCommand
from gansynth_server.commands.hallucinate import HallucinateCommand
from gansynth_server.commands.invert import InvertCommand
from gansynth_server.commands.lists import MessagesCommand
from gansynth_server.commands.map import MapCommand
from gansynth_server.commands.note import NoteCommand
from gansynth_server.commands.play import PlayCommand
from gansynth_server.commands.presets import PresetsCommand
from gansynth_server.commands.render import RenderCommand
from gansynth_server.commands.soak import SoakCommand
from gansynth_server.commands.training import TrainCommand

Command = (
    Annotated[NoteCommand, subcommand("note")]
    | Annotated[RenderCommand, subcommand("render")]
    | Annotated[BatchCommand, subcommand("batch")]
    | Annotated[HallucinateCommand, subcommand("hallucinate")]
    | Annotated[PlayCommand, subcommand("play")]
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
