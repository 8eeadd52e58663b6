"""A service of gRPC without generated code: methods by name, messages by their proto-plus or protobuf classes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc
from google.longrunning.operations_pb2 import Operation

from alta_emulators.faults import Faults, RefusedError


@dataclass(frozen=True)
class Method:
    """An asynchronous function, and how what it takes and returns is read from and written to bytes."""

    call: Callable[[Any], Awaitable[Any]]
    parse: Callable[[bytes], Any]
    serialize: Callable[[Any], bytes]


def plus(call: Callable[[Any], Awaitable[Any]], request: Any, answer: Any) -> Method:
    """Return a method whose messages are of proto-plus."""
    return Method(call, request.deserialize, answer.serialize)


def plain(call: Callable[[Any], Awaitable[Any]], request: Any, answer: Any) -> Method:
    """Return a method whose messages are of protobuf itself."""
    return Method(call, request.FromString, answer.SerializeToString)


def starting(call: Callable[[Any], Awaitable[Operation]], request: Any) -> Method:
    """Return a method that takes a message of proto-plus and starts an operation."""
    return Method(call, request.deserialize, Operation.SerializeToString)


def service(name: str, methods: Mapping[str, Method], faults: Faults) -> grpc.GenericRpcHandler:
    """Return what a server answers `name` with. A method raises `RefusedError` to answer with an error."""
    handlers = {
        method_name: grpc.unary_unary_rpc_method_handler(
            _answering(method_name, method, faults),
            request_deserializer=method.parse,
            response_serializer=method.serialize,
        )
        for method_name, method in methods.items()
    }
    return grpc.method_handlers_generic_handler(name, handlers)


def _answering(name: str, method: Method, faults: Faults) -> Callable[[Any, Any], Awaitable[Any]]:
    async def answer(request: Any, context: Any) -> Any:
        try:
            await faults.meet(name)
            return await method.call(request)
        except RefusedError as refused:
            await context.abort(refused.status, refused.message)

    return answer
