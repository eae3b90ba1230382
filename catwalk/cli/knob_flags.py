"""Flags for the knobs of the Trainable that a command line names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from catwalk.cli import trainables
from catwalk.knobs import Knob, knobs
from catwalk.trainable import REFERENCE


class KnobCommand(TyperCommand):
    """A command with ``**settings``: one for each knob of the Trainable in its arguments, or of CATWALK_TRAINABLE."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        named = _named(args)
        asks_for_help = {"-h", "--help"} & set(args)
        trainable = trainables.default() if asks_for_help and not named else trainables.chosen(named)
        if trainable:
            assert self.callback is not None
            whole = _command(inspect.unwrap(self.callback), knobs(trainable.config))
            self.params, self.callback = whole.params, whole.callback
        return super().make_context(info_name, args, parent, **extra)


def _named(args: list[str]) -> str:
    """The reference among the arguments, or what is in its place; empty if there is none."""
    first = args[0] if args and not args[0].startswith("-") else ""
    return next((argument for argument in args if REFERENCE.fullmatch(argument)), first)


def _command(function: Callable[..., None], of: tuple[Knob, ...]) -> Any:
    """The function as a command with one flag per knob."""
    signature = inspect.signature(function, eval_str=True)
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    parameters = [*own, *map(_flag, of)]

    def command(**values: Any) -> None:
        function(**values)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command()(command)
    return typer.main.get_command(single)


def without_knobs(function: Callable[..., None]) -> Callable[..., None]:
    """The function without its settings, for typer, because its knobs are not known yet."""
    signature = inspect.signature(function, eval_str=True)
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
    return function


def _flag(knob: Knob) -> inspect.Parameter:
    """A knob as an option; None means that it was left out."""
    kind: Any = Literal[knob.choices] if knob.choices else knob.type
    default = "" if knob.default is None else f" Default: {knob.text_default}."
    option = typer.Option(
        f"--{knob.name.replace('_', '-')}",
        help=knob.help + default,
        show_default=False,
        rich_help_panel=f"{knob.section.title()} settings",
    )
    return inspect.Parameter(
        knob.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )
