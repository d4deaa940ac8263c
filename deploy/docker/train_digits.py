"""Trains on handwritten digits through a server, as a job that can be watched.

Prints the loss of every epoch, and offers it to Prometheus. The server is that
of $ACTSERVE_ADDRESS. Ends with 1 if the network has not learned.
"""

import argparse
import signal
import sys
import time

import demo
import prometheus_client

import actserve

LOSS = prometheus_client.Gauge(
    "actserve_trainer_loss", "Mean loss of the last epoch.", ["activation"]
)
ACCURACY = prometheus_client.Gauge(
    "actserve_trainer_accuracy",
    "Part of the test digits that the network tells, after the last epoch.",
    ["activation"],
)
EPOCHS = prometheus_client.Counter(
    "actserve_trainer_epochs", "Epochs trained.", ["activation"]
)


def main() -> int:
    """Trains as often as --rounds says; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rounds",
        type=int,
        default=1,
        help="trainings; 0: until it is stopped",
    )
    parser.add_argument(
        "--pause", type=float, default=0.0, help="seconds after each epoch"
    )
    parser.add_argument(
        "--metrics_port", type=int, default=9465, help="port for Prometheus"
    )
    flags = parser.parse_args()
    # A process with number 1 has no default reaction to a signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    prometheus_client.start_http_server(flags.metrics_port)

    def report(loss: float, accuracy: float) -> None:
        LOSS.labels("ripple").set(loss)
        ACCURACY.labels("ripple").set(accuracy)
        EPOCHS.labels("ripple").inc()
        time.sleep(flags.pause)

    rounds = 0
    with actserve.connect() as client:
        while flags.rounds == 0 or rounds < flags.rounds:
            hidden = demo.remote(client, demo.ripple, depth=0.5)
            _, accuracy = demo.train(hidden, "ripple", report)
            if accuracy < demo.WANTED_ACCURACY:
                print(f"train_digits: accuracy {accuracy}", file=sys.stderr)
                return 1
            rounds += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
