"""All faults by name. Importing the four files registers theirs."""

from lab import faults_answer, faults_connection, faults_framing, faults_stream
from lab.fault import AT_CONNECT, BEFORE_BODY, FAULTS, Fault, status

__all__ = [
    "AT_CONNECT",
    "BEFORE_BODY",
    "FAULTS",
    "Fault",
    "faults_answer",
    "faults_connection",
    "faults_framing",
    "faults_stream",
    "status",
]
