"""A user's plug-in, loaded by its class path in the agents of a cluster."""

from pathlib import Path

from ray._private.runtime_env.plugin import RuntimeEnvPlugin


class Touch(RuntimeEnvPlugin):
    """Makes a file when an environment needs it, tells the worker where, and removes it when nobody does."""

    name = "touch"
    priority = 20

    def get_uris(self, runtime_env):
        return [f"touch://{runtime_env['touch']}"]

    async def create(self, uri, runtime_env, context, logger):
        logger.info("Touching %s.", uri)
        path = Path(uri.partition("://")[2])
        path.write_text("made")
        return 10

    def modify_context(self, uris, runtime_env, context, logger):
        context.env_vars["TOUCHED"] = uris[0].partition("://")[2]

    def delete_uri(self, uri, logger):
        Path(uri.partition("://")[2]).unlink()
        return 10
