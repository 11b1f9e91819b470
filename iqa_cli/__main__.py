"""`python -m iqa_cli` is `iqa`. Ctrl-C ends it without a word from the first line on."""

import os
import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # which an import may swallow, so that nothing ends
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

from iqa_cli.cli.entry import main

if __name__ == "__main__":
    main()
