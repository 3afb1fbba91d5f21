"""`ncmix completion`: what a shell needs to complete commands, options, choices, and the ids at a service."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script with which a shell completes `ncmix`.

    \b
      eval "$(ncmix completion bash)"      # in ~/.bashrc
      eval "$(ncmix completion zsh)"       # in ~/.zshrc
      ncmix completion fish > ~/.config/fish/completions/ncmix.fish
    """  # fmt: skip
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"There is no completion for {shell}.")
    click.echo(made(context.find_root().command, {}, "ncmix", "_NCMIX_COMPLETE").source())
