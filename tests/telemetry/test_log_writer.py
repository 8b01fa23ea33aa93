import os
import threading

from proxy.telemetry.log_writer import LogWriter, write_to


def drain(descriptor, into):
    while data := os.read(descriptor, 65536):
        into.append(data)


def test_a_pipe_that_is_full_and_non_blocking_is_waited_for():
    reader, sender = os.pipe()
    os.set_blocking(sender, False)
    data = b"x" * 1_000_000
    received = []
    thread = threading.Thread(target=drain, args=(reader, received))
    thread.start()
    write_to(sender)(data)
    os.close(sender)
    thread.join(10)
    os.close(reader)
    assert b"".join(received) == data


def test_a_reader_that_left_costs_lines_only():
    reader, sender = os.pipe()
    os.close(reader)
    writer = LogWriter(write_to(sender))
    writer.put("nobody reads this")
    writer.close(timeout=10.0)
    os.close(sender)
    assert writer.dropped == 1


def test_lines_keep_their_order():
    reader, sender = os.pipe()
    writer = LogWriter(write_to(sender))
    for number in range(1000):
        writer.put(str(number))
    writer.close(timeout=10.0)
    os.close(sender)
    received = []
    drain(reader, received)
    os.close(reader)
    assert b"".join(received).decode().split() == [str(number) for number in range(1000)]
