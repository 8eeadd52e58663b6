"""`alta`: outboxes, queues and dead letters at the command line.

It needs PostgreSQL and RabbitMQ with the relay's settings, and nothing else: it works while the gateway and identity
are down. Exit status: 0 done, 1 failed, 2 asked wrongly, 3 not found, 4 not possible now, 5 a server is away.
"""

import click

from alta_outbox_relay import cli_output as output
from alta_outbox_relay.api.dead_letter_schemas import QueueOut
from alta_outbox_relay.cli_dead_letters import dead_letters
from alta_outbox_relay.cli_outbox import outbox
from alta_outbox_relay.cli_run import prints_json, run


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, help=__doc__)
def main() -> None:
    """Group the commands."""


@click.group("queues")
def queues() -> None:
    """Look at the queues."""


@queues.command("ls")
@prints_json
def list_queues(*, is_json: bool) -> None:
    """List all queues with their numbers; ? is what nobody can say (see RABBITMQ_MANAGEMENT_URL)."""
    found = run(lambda operations: operations.queues.measure())
    if is_json:
        output.as_json([QueueOut.model_validate(state) for state in found])
    else:
        output.queues(found)


main.add_command(outbox)
main.add_command(queues)
main.add_command(dead_letters)

if __name__ == "__main__":
    main(prog_name="alta")
