"""`python -m alta_stack.mail`: run the mail catcher until SIGTERM."""

import argparse
import asyncio

import uvicorn

from alta_stack.mail.api import create_app
from alta_stack.mail.mailbox import Mailbox
from alta_stack.mail.smtp import new_protocol


async def run(host: str, smtp_port: int, http_port: int) -> None:
    """Serve SMTP and HTTP in one event loop over one mailbox."""
    mailbox = Mailbox()
    smtp = await asyncio.get_running_loop().create_server(lambda: new_protocol(mailbox), host, smtp_port)
    config = uvicorn.Config(create_app(mailbox), host=host, port=http_port, log_level="warning", access_log=False)
    async with smtp:
        print(f"catching mail on {host}:{smtp_port}, showing it on http://{host}:{http_port}", flush=True)
        await uvicorn.Server(config).serve()


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m alta_stack.mail", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--smtp-port", type=int, default=1025)
    parser.add_argument("--http-port", type=int, default=8025)
    arguments = parser.parse_args()
    asyncio.run(run(arguments.host, arguments.smtp_port, arguments.http_port))


if __name__ == "__main__":
    main()
