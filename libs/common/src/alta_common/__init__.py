"""What two services of Alta Data need."""

import os

# Whatever is forked here becomes another program at once, so gRPC's care for children that go on in this one is not
# needed; with its asyncio interface it only writes a line that is no JSON to the log for each worker process that is
# started. It reads this when it is first imported, which is after this package: by telemetry, or with Google's clients.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # noqa: TID251  # written, for a library that has no other switch
