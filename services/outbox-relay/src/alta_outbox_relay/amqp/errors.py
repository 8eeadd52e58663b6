"""What can go wrong between us and the broker."""


class BrokerLostError(Exception):
    """The connection is not there, or ended before the confirm; the event may have arrived or not."""


class BrokerDeniedError(BrokerLostError):
    """The broker does not let us in: user, password or virtual host are wrong."""


class ProtocolError(BrokerLostError):
    """The peer sent what a broker would not send."""


class FaultyEventError(Exception):
    """The event itself is wrong; publishing it again cannot help."""
