"""OpenAPI documents: text in, operations out; and the request that an operation means with given arguments. Pure.

Swagger 2.0, OpenAPI 3.0 and 3.1. An operation is plain data, so it can be recorded with a call and used again without its
document.
"""

from ._document import Api, is_address, read_api
from ._operation import Body, Operation, Origin, Parameter, Scheme, Variable
from ._request import HttpArguments, expectation, fitted, request_of

__all__ = [
    "Api",
    "Body",
    "HttpArguments",
    "Operation",
    "Origin",
    "Parameter",
    "Scheme",
    "Variable",
    "expectation",
    "fitted",
    "is_address",
    "read_api",
    "request_of",
]
