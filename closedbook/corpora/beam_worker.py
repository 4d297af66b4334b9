"""A worker process of the local runner: Beam's own, without its log.

What fails in a worker reaches the command through Beam, and becomes its message.
"""

import logging

if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(["closedbook"])
