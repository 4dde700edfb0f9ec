"""`ray get-auth-token`: the token that all processes of a cluster share, for copying it to other machines."""

from __future__ import annotations

import click

from ray._core.wire import auth


@click.command("get-auth-token")
@click.option("--generate", is_flag=True, help="Make a token in ~/.ray/auth_token when there is none.")
def get_auth_token(generate: bool) -> None:
    """Print the authentication token, and nothing else."""
    try:
        token = auth.find_token()
    except auth.AuthenticationFailed as error:
        raise click.ClickException(str(error)) from error
    if not token and generate:
        click.echo(f"Generating new authentication token in {auth.default_token_path()}...", err=True)
        token = auth.create_token()
    if not token:
        raise click.ClickException("No authentication token found. Use ray `get-auth-token --generate` to create one.")
    click.echo(token, nl=False)
